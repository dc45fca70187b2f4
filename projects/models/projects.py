"""Projects: which scripts are to be said by which presenters."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from projects.models.base import Kept
from projects.models.presenters import Presenter
from projects.models.scripts import Script
from projects.models.teams import Team

DEFAULT_FILE_NAME_TEMPLATE = "{presenter} - {script} - {language} - v{version}"


class Project(Kept):
    """A board of presenters (rows) and script languages (columns)."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="projects")
    name = models.CharField(_("name"), max_length=120)
    file_name_template = models.CharField(
        _("file names"),
        max_length=200,
        default=DEFAULT_FILE_NAME_TEMPLATE,
        help_text=_("Words in braces are filled in: {project} {presenter} {script} {language} {version} {date}"),
    )
    presenters = models.ManyToManyField(Presenter, through="ProjectPresenter", related_name="projects")
    scripts = models.ManyToManyField(Script, through="ProjectScript", related_name="projects")
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("project")
        verbose_name_plural = _("projects")

    def __str__(self) -> str:
        return self.name


class ProjectPresenter(models.Model):
    """A row of the board."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="rows")
    presenter = models.ForeignKey(Presenter, on_delete=models.CASCADE, related_name="+")
    position = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["position", "pk"]
        constraints = [models.UniqueConstraint(fields=["project", "presenter"], name="board_row_once")]

    def __str__(self) -> str:
        return f"{self.project} / {self.presenter}"


class ProjectScript(models.Model):
    """A script on the board; each of its languages is a column."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="columns")
    script = models.ForeignKey(Script, on_delete=models.CASCADE, related_name="+")
    position = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["position", "pk"]
        constraints = [models.UniqueConstraint(fields=["project", "script"], name="board_column_once")]

    def __str__(self) -> str:
        return f"{self.project} / {self.script}"
