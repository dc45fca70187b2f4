from django.contrib import admin
from django.urls import include, path

from heygem_site.accounts import one_time_sign_in
from heygem_site.health import healthz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("admin/", admin.site.urls),
    path("accounts/once/<str:token>/", one_time_sign_in, name="one_time_sign_in"),
    path("accounts/", include("allauth.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("", include("projects.urls")),
    path("", include("rendering.urls")),
]
