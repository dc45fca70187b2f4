from django.apps import AppConfig
from django.conf import settings


class SiteConfig(AppConfig):
    name = "heygem_site"
    verbose_name = "HeyGem"

    def ready(self) -> None:
        if settings.SENTRY["dsn"]:
            from heygem_site import sentry  # its library is loaded only where it is wanted

            sentry.start(**settings.SENTRY)
