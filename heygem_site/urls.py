from django.contrib import admin
from django.urls import include, path
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe
from django.views.generic import TemplateView
from drf_spectacular.views import SpectacularAPIView

from heygem_site.accounts import one_time_sign_in
from heygem_site.health import healthz, readyz
from heygem_site.metrics import metrics

admin.site.site_title = "HeyGem"
admin.site.site_header = _("For operators")
admin.site.index_title = _("Everything that is kept")

api = [
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", require_safe(TemplateView.as_view(template_name="api_docs.html")), name="docs"),
    path("", include("projects.api.urls")),
    path("", include("rendering.api.urls")),
]
urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("admin/", admin.site.urls),
    path("accounts/once/<str:token>/", one_time_sign_in, name="one_time_sign_in"),
    path("accounts/", include("allauth.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("api/v1/", include((api, "api"))),
    path("", include("projects.urls")),
    path("", include("rendering.urls")),
]
handler400 = "projects.views.problems.bad_request"
handler404 = "projects.views.problems.not_found"
handler500 = "projects.views.problems.server_error"
