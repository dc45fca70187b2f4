from __future__ import annotations

from rest_framework.routers import SimpleRouter

from projects.api import views

router = SimpleRouter(use_regex_path=False)
router.register("teams", views.Teams, "team")
router.register("presenters", views.Presenters, "presenter")
router.register("footage", views.FootageOfPresenters, "footage")
router.register("scripts", views.Scripts, "script")
router.register("takes", views.Takes, "take")
router.register("projects", views.Projects, "project")
urlpatterns = router.urls
