from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RenderingConfig(AppConfig):
    name = "rendering"
    verbose_name = _("Rendering and workers")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from projects import problems
        from rendering.execution import pulse
        from rendering.execution.catalogue import engine_problems
        from rendering.problems import PROBLEMS

        problems.register(engine_problems())
        problems.register(PROBLEMS)
        pulse.connect()
