"""``heygem-client``: upload, render a matrix of presenters and scripts, wait, download."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from heygem_client import answers as a
from heygem_client.answers import plain
from heygem_client.client import HeyGem
from heygem_client.config import site_of
from heygem_client.errors import HeyGemError, NotAllowed, SignedOut, TimedOut, Unreachable
from heygem_client.matrix import (
    GOING_ON,
    PresenterFrom,
    ScriptFrom,
    cell_of,
    download_all,
    newest_of,
    presenter_called,
    render_matrix,
    script_called,
)
from heygem_client.progress import Progress

DONE, FAILED, USAGE, REFUSED, UNREACHABLE, TOO_LATE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130
USABLE = ("ready", "warnings")
CODES = """exit codes:
  0  done                              3  the token is not good for that
  1  refused, or some videos failed    4  the site cannot be reached
  2  wrong arguments                   5  not done within --timeout
"""


def run() -> None:
    sys.exit(main(sys.argv[1:]))


def main(words: Sequence[str]) -> int:
    """The exit code. The result goes to standard output, everything else to standard error."""
    asked = _parser().parse_args(words)
    progress = Progress(sys.stderr, quiet=asked.quiet or asked.json)
    try:
        code: int = asked.do(HeyGem(*site_of()), asked, progress)
    except HeyGemError as error:
        progress.end()
        _say(f"heygem-client: {error}")
        return _code_of(error)
    except KeyboardInterrupt:
        progress.end()
        _say("heygem-client: interrupted; run it again to go on")
        return INTERRUPTED
    return code


def _code_of(error: HeyGemError) -> int:
    if isinstance(error, SignedOut | NotAllowed):
        return REFUSED
    if isinstance(error, Unreachable):
        return UNREACHABLE
    return TOO_LATE if isinstance(error, TimedOut) else FAILED


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")


def _result(asked: argparse.Namespace, told: Any, words: Sequence[str]) -> None:
    sys.stdout.write(json.dumps(plain(told), ensure_ascii=False, indent=2) + "\n" if asked.json else "")
    if not asked.json:
        sys.stdout.writelines(f"{line}\n" for line in words)
    sys.stdout.flush()


# What may be asked


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="the result as JSON")
    common.add_argument("--quiet", action="store_true", help="no progress bars")
    common.add_argument("--team", help="id or name; needed only by who belongs to several")
    waits = argparse.ArgumentParser(add_help=False)
    waits.add_argument("--wait", action="store_true", help="until every job has ended")
    waits.add_argument("--timeout", type=float, metavar="SECONDS", help="wait no longer than that")
    waits.add_argument("--download", type=Path, metavar="DIR", help="the finished videos into DIR (waits for them)")

    parser = argparse.ArgumentParser(
        prog="heygem-client",
        description="HeyGem from the command line. HEYGEM_URL and HEYGEM_TOKEN say which site, and who asks.",
        epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    does = parser.add_subparsers(required=True, metavar="COMMAND")

    up = does.add_parser("upload", parents=[common], help="footage of a presenter, or takes of a script")
    up.add_argument("files", nargs="+", type=_file, metavar="FILE")
    up.add_argument("--presenter", help="the files are footage of this presenter (added if there is none)")
    up.add_argument("--script", help="the files are takes of this script (added if there is none)")
    up.add_argument("--language", default="en", help="of the takes (en)")
    up.add_argument("--wait", action="store_true", help="until they have been looked at")
    up.add_argument("--timeout", type=float, metavar="SECONDS", help="wait no longer than that")
    up.set_defaults(do=_upload)

    render = does.add_parser("render", parents=[common, waits], help="every presenter with every script")
    render.add_argument(
        "--presenter", action="append", required=True, type=_presenter, metavar="NAME[=FILE]", dest="presenters"
    )
    render.add_argument(
        "--script", action="append", required=True, type=_script, metavar="TITLE[@LANGUAGE][=FILE]", dest="scripts"
    )
    render.add_argument("--project", help="the board it goes on (added if there is none)")
    render.add_argument("--preset", help="id or name (the team's default)")
    render.set_defaults(do=_render)

    learn = does.add_parser(
        "mouths", parents=[common], help="mouth models: what there is, have one learnt, stop, remove"
    )
    learn.add_argument("--presenter", help="id or name; all of the team's without it")
    acts = learn.add_mutually_exclusive_group()
    acts.add_argument("--learn", action="store_true", help="from the presenter's newest usable footage")
    acts.add_argument("--cancel", action="store_true", help="what is being learnt")
    acts.add_argument(
        "--remove", action="store_true", help="what was learnt; the presenter's own mouths are used again"
    )
    acts.add_argument("--log", action="store_true", help="of the newest")
    learn.add_argument("--wait", action="store_true", help="until it is learnt")
    learn.add_argument("--timeout", type=float, metavar="SECONDS", help="wait no longer than that")
    learn.set_defaults(do=_mouths)

    status = does.add_parser("status", parents=[common], help="how far a batch has come")
    status.add_argument("batch")
    status.set_defaults(do=_status)

    down = does.add_parser("download", parents=[common], help="the videos of a batch")
    down.add_argument("batch")
    down.add_argument("--to", type=Path, default=Path(), metavar="DIR", dest="download")
    down.add_argument("--wait", action="store_true", help="until every job has ended")
    down.add_argument("--timeout", type=float, metavar="SECONDS", help="wait no longer than that")
    down.set_defaults(do=_download)
    return parser


def _file(word: str) -> Path:
    path = Path(word)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {word}")
    return path


def _presenter(word: str) -> PresenterFrom:
    name, file = _split(word)
    return PresenterFrom(name=name, file=file)


def _script(word: str) -> ScriptFrom:
    name, file = _split(word)
    title, at, language = name.rpartition("@")
    return ScriptFrom(title=title, language=language, file=file) if at else ScriptFrom(title=name, file=file)


def _split(word: str) -> tuple[str, Path | None]:
    """``Ada=ada.mp4`` -> Ada and the file; ``ada.mp4``, where it is a file, is called after it; ``Ada`` has none."""
    name, equals, file = word.partition("=")
    if equals:
        return name, _file(file)
    return (Path(word).stem, Path(word)) if Path(word).is_file() else (word, None)


def _team(site: HeyGem, wanted: str | None) -> str:
    teams = list(site.teams())
    chosen = [team for team in teams if wanted is None or wanted in (team.id, team.name)]
    if len(chosen) != 1:
        names = ", ".join(f"{team.name} ({team.id})" for team in teams) or "none"
        raise HeyGemError(f"Say with --team which team it is. You belong to: {names}.")
    return chosen[0].id


# What is done


def _upload(site: HeyGem, asked: argparse.Namespace, progress: Progress) -> int:
    if bool(asked.presenter) == bool(asked.script):
        raise HeyGemError("Say either --presenter or --script.")
    team = _team(site, asked.team)
    made: list[a.Footage | a.Take] = []
    for path in asked.files:
        hear = lambda done, total, name=path.name: progress.bytes(name, done, total)  # noqa: E731
        if asked.presenter:
            owner = presenter_called(site, team=team, name=asked.presenter, add=True)
            made.append(site.upload_footage(path, presenter=owner, hear=hear))
        else:
            script = script_called(site, team=team, title=asked.script, add=True)
            made.append(site.upload_take(path, script=script, language=asked.language, hear=hear))
    if asked.wait:
        made = [_looked_at(site, item, asked.timeout) for item in made]
    _result(asked, made, [_line(item) for item in made])
    return FAILED if any(item.state == "refused" for item in made) else DONE


def _line(item: a.Footage | a.Take) -> str:
    why = f" ({item.error_code})" if item.error_code else ""
    return f"{item.id}  {item.state}{why}  {item.name}"


def _looked_at(site: HeyGem, item: a.Footage | a.Take, timeout_s: float | None) -> a.Footage | a.Take:
    if isinstance(item, a.Footage):
        return site.wait_for_footage(item.id, timeout_s=timeout_s)
    return site.wait_for_take(item.id, timeout_s=timeout_s)


def _mouths(site: HeyGem, asked: argparse.Namespace, progress: Progress) -> int:
    team = _team(site, asked.team)
    if not asked.presenter:
        if asked.learn or asked.cancel or asked.remove or asked.log:
            raise HeyGemError("Say with --presenter whose mouth model it is.")
        return _told(asked, list(site.mouth_models(team=team)))
    owner = presenter_called(site, team=team, name=asked.presenter, add=False)
    if asked.learn:
        footage = next((one for one in site.footage(presenter=owner.id, archived=False) if one.state in USABLE), None)
        if footage is None:
            raise HeyGemError(f"{owner.name} has no footage that can be used.")
        made = site.learn_mouths(footage.id)
        if asked.wait:
            hear = lambda now: progress.jobs(now.percent, 100, _line_of(now))  # noqa: E731
            made = site.wait_for_mouth_model(made.id, timeout_s=asked.timeout, hear=hear)
            progress.end()
        return _told(asked, [made])
    models = list(site.mouth_models(presenter=owner.id))
    if asked.log:
        sys.stdout.write(site.mouth_model_log(models[0].id) if models else "")
        return DONE
    if asked.cancel:
        models = [site.cancel_mouth_model(one.id) for one in models if one.state in ("waiting", "running")]
    if asked.remove:
        for one in [one for one in models if one.in_use]:
            site.remove_mouth_model(one.id)
        models = list(site.mouth_models(presenter=owner.id))
    return _told(asked, models)


def _told(asked: argparse.Namespace, models: Sequence[a.MouthModel]) -> int:
    _result(asked, models, [_line_of(model) for model in models])
    return FAILED if asked.learn and any(model.state == "refused" for model in models) else DONE


def _line_of(model: a.MouthModel) -> str:
    far = f" {model.percent} %" if model.state == "running" else ""
    why = f" ({', '.join([model.error_code, *model.failed])})" if model.error_code else ""
    return f"{model.id}  {model.state}{far}{why}{'  in use' if model.in_use else ''}  of footage {model.footage}"


def _render(site: HeyGem, asked: argparse.Namespace, progress: Progress) -> int:
    matrix = render_matrix(
        site,
        team=_team(site, asked.team),
        presenters=asked.presenters,
        scripts=asked.scripts,
        project=asked.project or f"heygem-client {date.today().isoformat()}",
        preset=asked.preset,
        hear=progress.bytes,
    )
    for skipped in matrix.batch.skipped if matrix.batch else ():
        if skipped.code not in GOING_ON:
            progress.end()
            _say(f"left out {skipped.cell}: {skipped.title}")
    batches = _followed(site, asked, progress, matrix.batches, waits=asked.wait or asked.download is not None)
    failed = _failed(site, batches)
    wanted = set(matrix.cells) - {cell_of(job) for job in failed}
    newest = newest_of(site.versions(project=matrix.project.id))
    there = [newest[cell] for cell in matrix.cells if cell in wanted and cell in newest]
    code = _end(site, asked, progress, batches, failed, there, matrix.names)
    is_whole = len(there) == len(matrix.cells) or not all(batch.is_finished for batch in batches)
    return code if is_whole else FAILED


def _status(site: HeyGem, asked: argparse.Namespace, progress: Progress) -> int:
    seen = site.batch(asked.batch)
    _result(asked, seen, [_words(seen)])
    return FAILED if seen.failed else DONE


def _download(site: HeyGem, asked: argparse.Namespace, progress: Progress) -> int:
    batches = _followed(site, asked, progress, [asked.batch], waits=asked.wait)
    there = list(newest_of(site.versions(batch=asked.batch)).values())
    return _end(site, asked, progress, batches, _failed(site, batches), there, None)


def _followed(
    site: HeyGem, asked: argparse.Namespace, progress: Progress, batches: Sequence[str], *, waits: bool
) -> list[a.BatchProgress]:
    """How far they have come: to the end, if that is waited for."""
    if not waits:
        return [site.batch(batch) for batch in batches]
    hear = lambda now: progress.jobs(now.done + now.failed + now.cancelled, now.total, _words(now))  # noqa: E731
    seen = [site.wait_for_batch(batch, timeout_s=asked.timeout, hear=hear) for batch in batches]
    progress.end()
    return seen


def _failed(site: HeyGem, batches: Sequence[a.BatchProgress]) -> list[a.Job]:
    failed = [job for seen in batches if seen.failed for job in site.jobs(batch=seen.batch.id, state="failed")]
    for job in failed:
        _say(f"failed {cell_of(job)}: {job.error_code}")
    return failed


def _end(
    site: HeyGem,
    asked: argparse.Namespace,
    progress: Progress,
    batches: Sequence[a.BatchProgress],
    failed: Sequence[a.Job],
    versions: Sequence[a.Version],
    names: dict[str, str] | None,
) -> int:
    """Download, if that was asked for, and tell what there is."""
    files: list[tuple[a.Version, Path]] = []
    if asked.download is not None:
        files = download_all(site, versions, asked.download, names=names, hear=progress.bytes)
        progress.end()
    told = {
        "batches": list(batches),
        "failed": list(failed),
        "files": [{"version": version, "path": str(path)} for version, path in files],
    }
    _result(asked, told, [*(_words(seen) for seen in batches), *(str(path) for _, path in files)])
    return FAILED if any(seen.failed or seen.cancelled for seen in batches) else DONE


def _words(seen: a.BatchProgress) -> str:
    parts = [f"{seen.done} of {seen.total} done"]
    counts = {"failed": seen.failed, "cancelled": seen.cancelled, "running": seen.running, "waiting": seen.queued}
    parts += [f"{count} {word}" for word, count in {**counts, "on hold": seen.held}.items() if count]
    if seen.eta_s is not None and not seen.is_finished:
        parts.append(f"about {seen.eta_s:.0f} s left")
    return f"batch {seen.batch.id}: " + ", ".join(parts)
