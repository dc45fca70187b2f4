"""The site's API as methods. Ids are the public ones; lists are iterators that fetch their pages as they are read."""

from __future__ import annotations

import json
import os
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from heygem_client import answers as a
from heygem_client import downloads, uploads
from heygem_client import endpoints as e
from heygem_client.errors import TimedOut
from heygem_client.transport import Answer, Transport

T = TypeVar("T")
Item = TypeVar("Item", a.Footage, a.Take)
Hear = uploads.Hear
FIRST_LOOK_S = 0.5
LONGEST_LOOK_S = 10.0
SETTLED = ("ready", "warnings", "refused")


def _silent(_done: int, _total: int) -> None:
    """Nobody wants to hear."""


class HeyGem:
    """A site, as the person of ``token`` sees it.

    >>> site = HeyGem("https://heygem.example.com", "hg_...")  # doctest: +SKIP
    >>> for presenter in site.presenters(search="ada"): ...    # doctest: +SKIP
    """

    def __init__(self, url: str, token: str, *, transport: Transport | None = None) -> None:
        self.transport = transport or Transport(url, token)

    # How everything below asks

    def _ask(self, endpoint: e.Endpoint[Any], path: str, *, key: str | None = None, **body: Any) -> Answer:
        sent = {name: value for name, value in body.items() if value is not None}
        assert sent.keys() <= set(endpoint.body), sent  # noqa: S101 - the table is held against the description
        headers = {"Content-Type": "application/json"} if endpoint.body else {}
        if endpoint.once:
            headers["Idempotency-Key"] = key or str(uuid.uuid4())
        data = json.dumps(sent).encode() if endpoint.body else (b"" if endpoint.method == "POST" else None)
        safe = endpoint.once or endpoint.method in ("GET", "DELETE", "PATCH")
        return self.transport.request(endpoint.method, path, headers=headers, body=data, safe=safe)

    def _one(self, endpoint: e.Endpoint[T], public_id: str = "", *, key: str | None = None, **body: Any) -> T:
        path = endpoint.path.replace("{public_id}", urllib.parse.quote(public_id, safe=""))
        return a.read(endpoint.answer, self._ask(endpoint, path, key=key, **body).json())

    def _pages(self, endpoint: e.Endpoint[T], public_id: str = "", **query: Any) -> Iterator[T]:
        path = endpoint.path.replace("{public_id}", urllib.parse.quote(public_id, safe=""))
        asked = {name: _word(value) for name, value in query.items() if value is not None}
        assert asked.keys() <= set(endpoint.query), asked  # noqa: S101 - as above
        following: str | None = f"{path}?{urllib.parse.urlencode({'limit': 200, **asked})}"
        while following:
            page = self._ask(endpoint, following).json()
            for row in page["results"]:
                yield a.read(endpoint.answer, row)
            following = page["next"]

    # Who asks, and for whom

    def me(self) -> a.Me:
        return self._one(e.ME)

    def teams(self) -> Iterator[a.Team]:
        return self._pages(e.TEAMS)

    def team(self, public_id: str) -> a.Team:
        return self._one(e.TEAM, public_id)

    # Presenters and their footage

    def presenters(
        self, *, team: str | None = None, search: str | None = None, archived: bool | None = None
    ) -> Iterator[a.Presenter]:
        return self._pages(e.PRESENTERS, team=team, search=search, archived=archived)

    def presenter(self, public_id: str) -> a.Presenter:
        return self._one(e.PRESENTER, public_id)

    def create_presenter(self, *, team: str, name: str, notes: str = "", key: str | None = None) -> a.Presenter:
        return self._one(e.PRESENTER_NEW, key=key, team=team, name=name, notes=notes)

    def change_presenter(self, public_id: str, *, name: str, notes: str | None = None) -> a.Presenter:
        return self._one(e.PRESENTER_CHANGE, public_id, name=name, notes=notes)

    def archive_presenter(self, public_id: str) -> a.Presenter:
        return self._one(e.PRESENTER_ARCHIVE, public_id)

    def restore_presenter(self, public_id: str) -> a.Presenter:
        return self._one(e.PRESENTER_RESTORE, public_id)

    def footage(
        self,
        *,
        team: str | None = None,
        presenter: str | None = None,
        state: str | None = None,
        archived: bool | None = None,
    ) -> Iterator[a.Footage]:
        return self._pages(e.FOOTAGES, team=team, presenter=presenter, state=state, archived=archived)

    def one_footage(self, public_id: str) -> a.Footage:
        return self._one(e.FOOTAGE, public_id)

    def analyse_footage(self, public_id: str) -> a.Footage:
        return self._one(e.FOOTAGE_ANALYSE, public_id)

    def choose_face(self, public_id: str, face: int) -> a.Footage:
        """``face``: its place in the footage's ``faces``, from 0. The footage is looked at again."""
        return self._one(e.FOOTAGE_FACE, public_id, face=face)

    def archive_footage(self, public_id: str) -> a.Footage:
        return self._one(e.FOOTAGE_ARCHIVE, public_id)

    def restore_footage(self, public_id: str) -> a.Footage:
        return self._one(e.FOOTAGE_RESTORE, public_id)

    def upload_footage(
        self, path: str | os.PathLike[str], *, presenter: a.Presenter, hear: Hear = _silent
    ) -> a.Footage:
        """New footage of ``presenter``. The analysis has only begun when this returns: see :meth:`wait_for_footage`."""
        told = {"purpose": "footage", "team": presenter.team, "presenter": presenter.id}
        return self.one_footage(uploads.upload(self.transport, Path(path), told, hear=hear))

    # Mouth models: networks that draw a presenter's mouths, learnt from footage

    def mouth_models(
        self,
        *,
        team: str | None = None,
        presenter: str | None = None,
        footage: str | None = None,
        state: str | None = None,
    ) -> Iterator[a.MouthModel]:
        """The newest first; the one with ``in_use`` draws new renders of its footage."""
        return self._pages(e.MOUTHS, team=team, presenter=presenter, footage=footage, state=state)

    def mouth_model(self, public_id: str) -> a.MouthModel:
        return self._one(e.MOUTH_MODEL, public_id)

    def learn_mouths(self, footage: str, *, key: str | None = None) -> a.MouthModel:
        """Have one learnt. That has only been asked for when this returns: see :meth:`wait_for_mouth_model`."""
        return self._one(e.MOUTH_MODEL_NEW, key=key, footage=footage)

    def cancel_mouth_model(self, public_id: str) -> a.MouthModel:
        return self._one(e.MOUTH_MODEL_CANCEL, public_id)

    def remove_mouth_model(self, public_id: str) -> None:
        """New renders of its footage use the presenter's own mouths again."""
        self._ask(e.MOUTH_MODEL_DELETE, e.MOUTH_MODEL_DELETE.path.replace("{public_id}", _quoted(public_id)))

    def mouth_model_log(self, public_id: str) -> str:
        return self._one(e.MOUTH_MODEL_LOG, public_id).log

    # Scripts and their takes

    def scripts(
        self, *, team: str | None = None, search: str | None = None, archived: bool | None = None
    ) -> Iterator[a.Script]:
        return self._pages(e.SCRIPTS, team=team, search=search, archived=archived)

    def script(self, public_id: str) -> a.Script:
        return self._one(e.SCRIPT, public_id)

    def create_script(self, *, team: str, title: str, key: str | None = None) -> a.Script:
        return self._one(e.SCRIPT_NEW, key=key, team=team, title=title)

    def change_script(self, public_id: str, *, title: str) -> a.Script:
        return self._one(e.SCRIPT_CHANGE, public_id, title=title)

    def archive_script(self, public_id: str) -> a.Script:
        return self._one(e.SCRIPT_ARCHIVE, public_id)

    def restore_script(self, public_id: str) -> a.Script:
        return self._one(e.SCRIPT_RESTORE, public_id)

    def write(self, script: str, *, language: str, text: str) -> a.ScriptVersion:
        """The script's words in one language; the same words again change nothing."""
        return self._one(e.SCRIPT_WRITE, script, language=language, text=text)

    def script_versions(self, script: str) -> Iterator[a.ScriptVersion]:
        return self._pages(e.SCRIPT_VERSIONS, script)

    def takes(
        self,
        *,
        team: str | None = None,
        script: str | None = None,
        language: str | None = None,
        state: str | None = None,
        archived: bool | None = None,
    ) -> Iterator[a.Take]:
        return self._pages(e.TAKES, team=team, script=script, language=language, state=state, archived=archived)

    def take(self, public_id: str) -> a.Take:
        return self._one(e.TAKE, public_id)

    def analyse_take(self, public_id: str) -> a.Take:
        return self._one(e.TAKE_ANALYSE, public_id)

    def take_says_newest_words(self, public_id: str) -> a.Take:
        """The words that were written after it came are what it says, only written down better."""
        return self._one(e.TAKE_WORDS, public_id)

    def archive_take(self, public_id: str) -> a.Take:
        return self._one(e.TAKE_ARCHIVE, public_id)

    def restore_take(self, public_id: str) -> a.Take:
        return self._one(e.TAKE_RESTORE, public_id)

    def upload_take(
        self, path: str | os.PathLike[str], *, script: a.Script, language: str, hear: Hear = _silent
    ) -> a.Take:
        """A recording of the script's words in ``language``, a tag such as ``en`` or ``zh-hans``."""
        told = {"purpose": "take", "team": script.team, "script": script.id, "language": language}
        return self.take(uploads.upload(self.transport, Path(path), told, hear=hear))

    # Projects and presets

    def projects(
        self, *, team: str | None = None, search: str | None = None, archived: bool | None = None
    ) -> Iterator[a.Project]:
        return self._pages(e.PROJECTS, team=team, search=search, archived=archived)

    def project(self, public_id: str) -> a.Project:
        return self._one(e.PROJECT, public_id)

    def create_project(
        self,
        *,
        team: str,
        name: str,
        presenters: Sequence[str] = (),
        scripts: Sequence[str] = (),
        key: str | None = None,
    ) -> a.Project:
        return self._one(
            e.PROJECT_NEW, key=key, team=team, name=name, presenters=list(presenters), scripts=list(scripts)
        )

    def change_project(
        self, public_id: str, *, name: str | None = None, file_name_template: str | None = None
    ) -> a.Project:
        return self._one(e.PROJECT_CHANGE, public_id, name=name, file_name_template=file_name_template)

    def add_to_project(
        self, public_id: str, *, presenters: Sequence[str] = (), scripts: Sequence[str] = ()
    ) -> a.Project:
        return self._one(e.PROJECT_ADD, public_id, presenters=list(presenters), scripts=list(scripts))

    def remove_from_project(
        self, public_id: str, *, presenters: Sequence[str] = (), scripts: Sequence[str] = ()
    ) -> a.Project:
        return self._one(e.PROJECT_REMOVE, public_id, presenters=list(presenters), scripts=list(scripts))

    def archive_project(self, public_id: str) -> a.Project:
        return self._one(e.PROJECT_ARCHIVE, public_id)

    def restore_project(self, public_id: str) -> a.Project:
        return self._one(e.PROJECT_RESTORE, public_id)

    def presets(self, *, team: str | None = None) -> Iterator[a.Preset]:
        return self._pages(e.PRESETS, team=team)

    def preset(self, public_id: str) -> a.Preset:
        return self._one(e.PRESET, public_id)

    # Rendering

    def batches(self, *, team: str | None = None, project: str | None = None) -> Iterator[a.Batch]:
        return self._pages(e.BATCHES, team=team, project=project)

    def batch(self, public_id: str) -> a.BatchProgress:
        return self._one(e.BATCH, public_id)

    def render(
        self,
        *,
        project: str,
        cells: Sequence[str] | None = None,
        presenters: Sequence[str] | None = None,
        scripts: Sequence[str] | None = None,
        languages: Sequence[str] | None = None,
        preset: str | None = None,
        key: str | None = None,
    ) -> a.BatchStarted:
        """Start a batch: these cells (``presenter.script.language``), or presenters, scripts and languages crossed;
        with none of them, all that nothing was made for yet."""
        return self._one(
            e.BATCH_NEW,
            key=key,
            project=project,
            cells=_list(cells),
            presenters=_list(presenters),
            scripts=_list(scripts),
            languages=_list(languages),
            preset=preset,
        )

    def cancel_batch(self, public_id: str) -> a.BatchProgress:
        return self._one(e.BATCH_CANCEL, public_id)

    def retry_batch(self, public_id: str) -> a.BatchProgress:
        """A new job for each cell of the batch whose last job failed."""
        return self._one(e.BATCH_RETRY, public_id)

    def jobs(
        self,
        *,
        team: str | None = None,
        project: str | None = None,
        batch: str | None = None,
        presenter: str | None = None,
        script: str | None = None,
        state: str | None = None,
    ) -> Iterator[a.Job]:
        return self._pages(
            e.JOBS, team=team, project=project, batch=batch, presenter=presenter, script=script, state=state
        )

    def job(self, public_id: str) -> a.Job:
        return self._one(e.JOB, public_id)

    def cancel_job(self, public_id: str) -> a.Job:
        return self._one(e.JOB_CANCEL, public_id)

    # Results

    def versions(
        self,
        *,
        team: str | None = None,
        project: str | None = None,
        batch: str | None = None,
        presenter: str | None = None,
        script: str | None = None,
        language: str | None = None,
        published: bool | None = None,
    ) -> Iterator[a.Version]:
        return self._pages(
            e.VERSIONS,
            team=team,
            project=project,
            batch=batch,
            presenter=presenter,
            script=script,
            language=language,
            published=published,
        )

    def version(self, public_id: str) -> a.Version:
        return self._one(e.VERSION, public_id)

    def publish(self, version: str) -> a.Version:
        return self._one(e.VERSION_PUBLISH, version)

    def download(self, version: a.Version, target: str | os.PathLike[str], *, hear: Hear = _silent) -> Path:
        """The video as ``target``: resumed where it broke, checked by its SHA-256, never half.

        Raises ``ValueError`` for a version whose video the team's retention rule has removed.
        """
        if version.download_url is None or version.sha256 is None or version.size is None:
            raise ValueError(f"the video of version {version.number} was removed")
        return downloads.download(
            self.transport, version.download_url, Path(target), sha256=version.sha256, size=version.size, hear=hear
        )

    def exports(
        self, *, team: str | None = None, project: str | None = None, state: str | None = None
    ) -> Iterator[a.Export]:
        return self._pages(e.EXPORTS, team=team, project=project, state=state)

    def export(self, public_id: str) -> a.Export:
        return self._one(e.EXPORT, public_id)

    def create_export(
        self,
        *,
        project: str,
        versions: Sequence[str] | None = None,
        cells: Sequence[str] | None = None,
        key: str | None = None,
    ) -> a.Export:
        """A ZIP of versions, or of what cells show; with neither, of everything that is published."""
        return self._one(e.EXPORT_NEW, key=key, project=project, versions=_list(versions), cells=_list(cells))

    def delete_export(self, public_id: str) -> None:
        path = e.EXPORT_DELETE.path.replace("{public_id}", urllib.parse.quote(public_id, safe=""))
        self._ask(e.EXPORT_DELETE, path)

    def download_export(self, export: a.Export, target: str | os.PathLike[str], *, hear: Hear = _silent) -> Path:
        """The ZIP of an export that is ready."""
        if export.download_url is None:
            raise ValueError(f"{export.name} is {export.state}")
        return downloads.download(self.transport, export.download_url, Path(target), hear=hear)

    # Waiting: often at first, and again when something moves; seldom while nothing does

    def wait_for_batch(
        self,
        public_id: str,
        *,
        timeout_s: float | None = None,
        hear: Callable[[a.BatchProgress], object] = lambda progress: None,
    ) -> a.BatchProgress:
        """Until every job has ended, one way or another. Raises :class:`TimedOut`."""
        return self._wait(
            lambda: self.batch(public_id), lambda progress: progress.is_finished, f"batch {public_id}", timeout_s, hear
        )

    def wait_for_footage(
        self,
        public_id: str,
        *,
        timeout_s: float | None = None,
        hear: Callable[[a.Footage], object] = lambda footage: None,
    ) -> a.Footage:
        """Until its analysis has ended: ``state`` is ready, warnings or refused."""
        return self._wait(
            lambda: self.one_footage(public_id), lambda item: item.state in SETTLED, public_id, timeout_s, hear
        )

    def wait_for_mouth_model(
        self,
        public_id: str,
        *,
        timeout_s: float | None = None,
        hear: Callable[[a.MouthModel], object] = lambda model: None,
    ) -> a.MouthModel:
        """Until it is learnt, one way or another: ``state`` is ready or refused."""
        return self._wait(
            lambda: self.mouth_model(public_id), lambda model: model.state in SETTLED, public_id, timeout_s, hear
        )

    def wait_for_take(
        self, public_id: str, *, timeout_s: float | None = None, hear: Callable[[a.Take], object] = lambda take: None
    ) -> a.Take:
        return self._wait(lambda: self.take(public_id), lambda item: item.state in SETTLED, public_id, timeout_s, hear)

    def wait_for_export(
        self,
        public_id: str,
        *,
        timeout_s: float | None = None,
        hear: Callable[[a.Export], object] = lambda export: None,
    ) -> a.Export:
        return self._wait(
            lambda: self.export(public_id),
            lambda export: export.state in ("ready", "failed"),
            public_id,
            timeout_s,
            hear,
        )

    def _wait(
        self,
        look: Callable[[], T],
        is_over: Callable[[T], bool],
        name: str,
        timeout_s: float | None,
        hear: Callable[[T], object],
    ) -> T:
        until = None if timeout_s is None else time.monotonic() + timeout_s
        pause, before = FIRST_LOOK_S, None
        while True:
            seen = look()
            hear(seen)
            if is_over(seen):
                return seen
            pause = FIRST_LOOK_S if seen != before else min(pause * 1.5, LONGEST_LOOK_S)
            before = seen
            if until is not None and time.monotonic() + pause > until:
                raise TimedOut(f"{name} did not end within {timeout_s:g} seconds.")
            self.transport.sleep(pause)


def _quoted(public_id: str) -> str:
    return urllib.parse.quote(public_id, safe="")


def _list(ids: Sequence[str] | None) -> list[str] | None:
    return None if ids is None else list(ids)


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
