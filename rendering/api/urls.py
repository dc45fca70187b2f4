from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from rendering.api import views

router = SimpleRouter(use_regex_path=False)
router.register("batches", views.Batches, "batch")
router.register("jobs", views.Jobs, "job")
router.register("versions", views.Versions, "version")
router.register("exports", views.Exports, "export")
urlpatterns = [path("projects/<str:public_id>/board/", views.Board.as_view(), name="project-board"), *router.urls]
