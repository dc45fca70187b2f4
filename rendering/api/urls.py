from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from rendering.api import farm, mouths, results, work

router = SimpleRouter(use_regex_path=False)
router.register("projects", work.Boards, "board")
router.register("batches", work.Batches, "batch")
router.register("jobs", work.Jobs, "job")
router.register("mouths", mouths.Mouths, "mouths")
router.register("versions", results.Versions, "version")
router.register("exports", results.Exports, "export")
router.register("presets", results.Presets, "preset")
router.register("workers", farm.Workers, "worker")
router.register("farm/jobs", farm.FarmJobs, "farm-job")
router.register("farm/batches", farm.FarmBatches, "farm-batch")
router.register("farm/mouths", farm.FarmMouths, "farm-mouths")
router.register("farm/bases", farm.FarmBases, "farm-base")
router.register("farm/teams", farm.FarmTeams, "farm-team")
urlpatterns = [
    path("farm/", farm.Farm.as_view(), name="farm"),
    path("projects/<str:public_id>/board/", work.Board.as_view(), name="project-board"),
    path("teams/<str:public_id>/usage/", work.Usage.as_view(), name="team-usage"),
    path("teams/<str:public_id>/base/", work.Base.as_view({"get": "retrieve", "post": "start"}), name="team-base"),
    *router.urls,
]
