from __future__ import annotations

from django.urls import path

from rendering.views import board, cells, exports, home, presets, projects

app_name = "rendering"
urlpatterns = [
    path("", home.home, name="home"),
    path("t/<str:team_id>/try/", home.try_it, name="try_it"),
    path("t/<str:team_id>/projects/new/", projects.project_new, name="project_new"),
    path("t/<str:team_id>/projects/archived/", projects.archived, name="projects_archived"),
    path("projects/<str:public_id>/", board.board, name="board"),
    path("projects/<str:public_id>/changes", board.changes, name="board_changes"),
    path("projects/<str:public_id>/render/", board.render_cells, name="board_render"),
    path("projects/<str:public_id>/retry/", board.retry, name="board_retry"),
    path("projects/<str:public_id>/cancel/", board.cancel, name="board_cancel"),
    path("projects/<str:public_id>/export/", board.export, name="board_export"),
    path("projects/<str:public_id>/add/", projects.project_add, name="project_add"),
    path("projects/<str:public_id>/remove/", projects.project_remove, name="project_remove"),
    path("projects/<str:public_id>/settings/", projects.project_settings, name="project_settings"),
    path("projects/<str:public_id>/archive/", projects.project_archive, name="project_archive"),
    path("projects/<str:public_id>/restore/", projects.project_restore, name="project_restore"),
    path("batches/<str:public_id>/cancel/", board.batch_cancel, name="batch_cancel"),
    path("jobs/<str:public_id>/cancel/", cells.job_cancel, name="job_cancel"),
    path("jobs/<str:public_id>/hold/", cells.job_hold, name="job_hold"),
    path("jobs/<str:public_id>/release/", cells.job_release, name="job_release"),
    path("jobs/<str:public_id>/front/", cells.job_to_front, name="job_to_front"),
    path("cells/<str:public_id>/", cells.cell, name="cell"),
    path("cells/<str:public_id>/changes", cells.cell_changes, name="cell_changes"),
    path("cells/<str:public_id>/render/", cells.cell_render, name="cell_render"),
    path("cells/<str:public_id>/compare/", cells.compare, name="cell_compare"),
    path("versions/<str:public_id>/publish/", cells.version_publish, name="version_publish"),
    path("versions/<str:public_id>/delete/", cells.version_delete, name="version_delete"),
    path("t/<str:team_id>/exports/", exports.exports, name="exports"),
    path("t/<str:team_id>/exports/changes", exports.exports_changes, name="exports_changes"),
    path("exports/<str:public_id>/delete/", exports.export_delete, name="export_delete"),
    path("t/<str:team_id>/presets/", presets.presets, name="presets"),
    path("t/<str:team_id>/presets/new/", presets.preset_new, name="preset_new"),
    path("presets/<str:public_id>/", presets.preset, name="preset"),
    path("presets/<str:public_id>/default/", presets.preset_default, name="preset_default"),
    path("presets/<str:public_id>/delete/", presets.preset_delete, name="preset_delete"),
]
