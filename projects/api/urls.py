from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from projects.api import views, webhooks

router = SimpleRouter(use_regex_path=False)
router.register("teams", views.Teams, "team")
router.register("presenters", views.Presenters, "presenter")
router.register("footage", views.FootageOfPresenters, "footage")
router.register("scripts", views.Scripts, "script")
router.register("takes", views.Takes, "take")
router.register("projects", views.Projects, "project")
router.register("webhooks", webhooks.Webhooks, "webhook")
router.register("deliveries", webhooks.Deliveries, "delivery")
urlpatterns = [path("me/", views.Me.as_view(), name="me"), *router.urls]
