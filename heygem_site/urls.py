from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from heygem_site.accounts import one_time_sign_in
from heygem_site.health import healthz

api = [
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("", include("projects.api.urls")),
    path("", include("rendering.api.urls")),
]
urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("admin/", admin.site.urls),
    path("accounts/once/<str:token>/", one_time_sign_in, name="one_time_sign_in"),
    path("accounts/", include("allauth.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("api/v1/", include((api, "api"))),
    path("", include("projects.urls")),
    path("", include("rendering.urls")),
]
