"""Projects as a person keeps them: making one, what stands on its board, its name and its end."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from projects import access
from projects.models import Presenter, Project, Role, Script, Team
from projects.problems import HeyGemError
from projects.selectors import projects as projects_of
from projects.services import projects as services
from projects.views.base import numbered, offer_undo, page, signed_in

PAGE = 60


def chosen(request: HttpRequest, team: Team) -> tuple[list[Presenter], list[Script]]:
    """The presenters and scripts ticked in a form, in the order of their lists; others' are not there."""
    presenters = Presenter.objects.filter(team=team, archived_at=None, public_id__in=request.POST.getlist("presenter"))
    scripts = Script.objects.filter(team=team, archived_at=None, public_id__in=request.POST.getlist("script"))
    return list(presenters), list(scripts)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def project_new(request: HttpRequest, team_id: str) -> HttpResponse:
    team = access.get_team_for_user(request.user, team_id, need=Role.CREATOR)
    problem = None
    if request.method == "POST":
        presenters, scripts = chosen(request, team)
        try:
            project = services.create_project(
                actor=signed_in(request),
                team=team,
                name=request.POST.get("name", ""),
                presenters=presenters,
                scripts=scripts,
            )
        except HeyGemError as error:
            problem = error
        else:
            return redirect("rendering:board", project.public_id)
    return page(
        request,
        "rendering/project_new.html",
        team,
        problem=problem,
        name=request.POST.get("name", ""),
        presenters=team.presenters.filter(archived_at=None),
        scripts=team.scripts.filter(archived_at=None),
        ticked={*request.POST.getlist("presenter"), *request.POST.getlist("script")},
    )


@login_required
@require_safe
def archived(request: HttpRequest, team_id: str) -> HttpResponse:
    team = access.get_team_for_user(request.user, team_id)
    return page(
        request,
        "rendering/projects_archived.html",
        team,
        page_obj=numbered(request, projects_of(team, archived=True), size=PAGE),
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def project_add(request: HttpRequest, public_id: str) -> HttpResponse:
    """More rows and columns: from the library by ticking, or new files by dropping them."""
    project = access.get_project_for_user(request.user, public_id, need=Role.CREATOR)
    if request.method == "POST":
        presenters, scripts = chosen(request, project.team)
        services.add_presenters(actor=signed_in(request), project=project, presenters=presenters)
        services.add_scripts(actor=signed_in(request), project=project, scripts=scripts)
        return redirect("rendering:board", project.public_id)
    return page(request, "rendering/project_add.html", project.team, project=project, **_addable(project))


def _addable(project: Project) -> dict[str, object]:
    team = project.team
    return {
        "presenters": team.presenters.filter(archived_at=None).exclude(projects=project),
        "scripts": team.scripts.filter(archived_at=None).exclude(projects=project),
    }


@login_required
@require_POST
def project_remove(request: HttpRequest, public_id: str) -> HttpResponse:
    """Take one row or one script's columns off the board; what was rendered stays."""
    project = access.get_project_for_user(request.user, public_id, need=Role.CREATOR)
    if presenter_id := request.POST.get("presenter"):
        presenter = get_object_or_404(Presenter, team=project.team, public_id=presenter_id)
        services.remove_presenter(actor=signed_in(request), project=project, presenter=presenter)
    if script_id := request.POST.get("script"):
        script = get_object_or_404(Script, team=project.team, public_id=script_id)
        services.remove_script(actor=signed_in(request), project=project, script=script)
    return redirect("rendering:board", project.public_id)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def project_settings(request: HttpRequest, public_id: str) -> HttpResponse:
    project = access.get_project_for_user(request.user, public_id, need=Role.CREATOR)
    problem = None
    if request.method == "POST":
        actor, posted = signed_in(request), request.POST
        try:
            services.set_file_name_template(actor=actor, project=project, template=posted.get("file_name_template", ""))
            services.rename_project(actor=actor, project=project, name=posted.get("name", ""))
        except HeyGemError as error:
            problem = error
        else:
            return redirect("rendering:board", project.public_id)
    return page(
        request,
        "rendering/project_settings.html",
        project.team,
        project=project,
        problem=problem,
        name=request.POST.get("name", project.name),
        template=request.POST.get("file_name_template", project.file_name_template),
    )


@login_required
@require_POST
def project_archive(request: HttpRequest, public_id: str) -> HttpResponse:
    project = access.get_project_for_user(request.user, public_id, need=Role.CREATOR)
    services.archive_project(actor=signed_in(request), project=project)
    offer_undo(
        request,
        sentence=_("%(name)s was put away.") % {"name": project.name},
        url=reverse("rendering:project_restore", args=[project.public_id]),
    )
    return redirect("rendering:home")


@login_required
@require_POST
def project_restore(request: HttpRequest, public_id: str) -> HttpResponse:
    project = access.get_project_for_user(request.user, public_id, need=Role.CREATOR)
    services.restore_project(actor=signed_in(request), project=project)
    return redirect("rendering:board", project.public_id)
