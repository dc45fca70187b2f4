"""Presenters times scripts: from files and names to finished videos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from heygem_client import answers as a
from heygem_client.client import HeyGem
from heygem_client.errors import Conflict, HeyGemError

T = TypeVar("T")
Hear = Callable[[str, int, int], None]
"""Told of a file's name, and of its bytes done and in all."""
GOING_ON = ("up_to_date", "already_rendering", "nothing_to_render")
"""Codes of a batch that is not started because everything is there, or on its way."""
UNFINISHED = ("queued", "held", "running")
FORBIDDEN = '<>:"/\\|?*'


@dataclass(frozen=True, kw_only=True)
class PresenterFrom:
    """A presenter by id or name; with ``file``, new footage, and a new presenter if there is none of that name."""

    name: str
    file: Path | None = None


@dataclass(frozen=True, kw_only=True)
class ScriptFrom:
    """A script by id or title; with ``file``, a new take in ``language``, and a new script if there is none."""

    title: str
    language: str = "en"
    file: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """What was started. ``batch`` is None when there was nothing left to start; ``others`` are batches in which some of
    the ``cells`` were being rendered already; ``names`` are those of presenters and scripts, by id."""

    project: a.Project
    cells: tuple[str, ...]
    batch: a.BatchStarted | None
    others: tuple[str, ...]
    names: dict[str, str]

    @property
    def batches(self) -> list[str]:
        return [*([self.batch.batch.id] if self.batch else []), *self.others]


def _unheard(_name: str, _done: int, _total: int) -> None:
    """Nobody wants to hear."""


def render_matrix(
    site: HeyGem,
    *,
    team: str,
    presenters: Sequence[PresenterFrom],
    scripts: Sequence[ScriptFrom],
    project: str,
    preset: str | None = None,
    hear: Hear = _unheard,
) -> Matrix:
    """Upload what is given as files, put all of it on the board ``project`` (made if there is none), and render it.

    Footage and takes need not have been looked at yet: their jobs wait for that. What was rendered before from the same
    files is done at once. Raises :class:`HeyGemError` for names that are not there.
    """
    rows = [_presenter(site, team, each, hear) for each in presenters]
    columns = [_script(site, team, each, hear) for each in scripts]
    ids = {"presenters": _ids(rows), "scripts": _ids(columns)}
    board = _named(project, site.projects(team=team, search=project, archived=False), lambda found: found.name)
    if board is None:
        board = site.create_project(team=team, name=project, presenters=ids["presenters"], scripts=ids["scripts"])
    else:
        site.add_to_project(board.id, presenters=ids["presenters"], scripts=ids["scripts"])
    wanted = dict.fromkeys(
        f"{row.id}.{column.id}.{script.language}"
        for row in rows
        for column, script in zip(columns, scripts, strict=True)
    )
    cells = tuple(wanted)
    batch = _start(site, board.id, cells, _preset(site, team, preset))
    names = {row.id: row.name for row in rows} | {column.id: column.title for column in columns}
    others = _under_way(site, board.id, cells, batch)
    return Matrix(project=board, cells=cells, batch=batch, others=others, names=names)


def _start(site: HeyGem, project: str, cells: Sequence[str], preset: str | None) -> a.BatchStarted | None:
    """None: all of it is there, or on its way."""
    try:
        return site.render(project=project, cells=list(cells), preset=preset)
    except Conflict as refused:
        if refused.code not in GOING_ON:
            raise
    return None


def _under_way(site: HeyGem, project: str, cells: Iterable[str], batch: a.BatchStarted | None) -> tuple[str, ...]:
    """Other batches that are at work on ``cells``."""
    wanted = {skipped.cell for skipped in batch.skipped} if batch else set(cells)
    jobs = (job for state in UNFINISHED for job in site.jobs(project=project, state=state))
    return tuple(dict.fromkeys(job.batch for job in jobs if cell_of(job) in wanted)) if wanted else ()


def cell_of(thing: a.Job | a.Version) -> str:
    """The key of its cell on the board."""
    return f"{thing.presenter}.{thing.script}.{thing.language}"


def newest_of(versions: Iterable[a.Version]) -> dict[str, a.Version]:
    """The newest of each cell, by its key."""
    newest: dict[str, a.Version] = {}
    for version in versions:
        known = newest.get(cell_of(version))
        if known is None or version.number > known.number:
            newest[cell_of(version)] = version
    return newest


def _ids(things: Iterable[a.Presenter | a.Script]) -> list[str]:
    return list(dict.fromkeys(thing.id for thing in things))


def _named(wanted: str, things: Iterable[T], name: Callable[[T], str]) -> T | None:
    """The one that is called so. Of several, the newest: lists come newest first."""
    return next((thing for thing in things if name(thing) == wanted), None)


def presenter_called(site: HeyGem, *, team: str, name: str, add: bool) -> a.Presenter:
    """The presenter with this id or name; a new one if there is none and ``add``, else raises :class:`HeyGemError`."""
    found = next((each for each in site.presenters(team=team, archived=False) if name in (each.id, each.name)), None)
    if found is not None:
        return found
    if not add:
        raise HeyGemError(f"There is no presenter {name!r}; give footage as {name}=FILE to add one.")
    return site.create_presenter(team=team, name=name)


def script_called(site: HeyGem, *, team: str, title: str, add: bool) -> a.Script:
    """The same for scripts."""
    found = next((each for each in site.scripts(team=team, archived=False) if title in (each.id, each.title)), None)
    if found is not None:
        return found
    if not add:
        raise HeyGemError(f"There is no script {title!r}; give a take as {title}=FILE to add one.")
    return site.create_script(team=team, title=title)


def _presenter(site: HeyGem, team: str, wanted: PresenterFrom, hear: Hear) -> a.Presenter:
    path = wanted.file
    found = presenter_called(site, team=team, name=wanted.name, add=path is not None)
    if path is not None:
        site.upload_footage(path, presenter=found, hear=lambda done, total: hear(path.name, done, total))
    return found


def _script(site: HeyGem, team: str, wanted: ScriptFrom, hear: Hear) -> a.Script:
    path = wanted.file
    found = script_called(site, team=team, title=wanted.title, add=path is not None)
    if path is not None:
        heard = lambda done, total: hear(path.name, done, total)  # noqa: E731
        site.upload_take(path, script=found, language=wanted.language, hear=heard)
    return found


def _preset(site: HeyGem, team: str, wanted: str | None) -> str | None:
    if wanted is None:
        return None
    found = next((each for each in site.presets(team=team) if wanted in (each.id, each.name)), None)
    if found is None:
        raise HeyGemError(f"There is no preset {wanted!r}.")
    return found.id


def names_of(site: HeyGem, versions: Iterable[a.Version]) -> dict[str, str]:
    """What presenters and scripts of ``versions`` are called, by id."""
    names: dict[str, str] = {}
    for version in versions:
        if version.presenter not in names:
            names[version.presenter] = site.presenter(version.presenter).name
        if version.script not in names:
            names[version.script] = site.script(version.script).title
    return names


def download_all(
    site: HeyGem,
    versions: Sequence[a.Version],
    folder: Path,
    *,
    names: dict[str, str] | None = None,
    hear: Hear = _unheard,
) -> list[tuple[a.Version, Path]]:
    """Each version as ``presenter - script (language).mp4``; a number is added where two would be called the same."""
    names = names_of(site, versions) if names is None else names
    taken: set[str] = set()
    made = []
    for version in versions:
        stem = f"{names[version.presenter]} - {names[version.script]} ({version.language})"
        name = _free(_safe(stem), taken)
        path = site.download(version, folder / name, hear=lambda done, total, name=name: hear(name, done, total))  # type: ignore[misc]
        made.append((version, path))
    return made


def _safe(stem: str) -> str:
    """A file name on every system."""
    kept = "".join("_" if letter in FORBIDDEN or not letter.isprintable() else letter for letter in stem)
    return kept.strip(" .")[:180] or "video"


def _free(stem: str, taken: set[str]) -> str:
    name, number = f"{stem}.mp4", 1
    while name.casefold() in taken:
        number += 1
        name = f"{stem} {number}.mp4"
    taken.add(name.casefold())
    return name
