from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "heygem_site"
    verbose_name = "HeyGem"
