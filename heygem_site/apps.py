from django.apps import AppConfig
from django.conf import settings

from heygem_site import admin_names


class SiteConfig(AppConfig):
    name = "heygem_site"
    verbose_name = "HeyGem"

    def ready(self) -> None:
        admin_names.give_words()
        if settings.SENTRY["dsn"]:
            from heygem_site import sentry  # its library is loaded only where it is wanted

            sentry.start(**settings.SENTRY)
