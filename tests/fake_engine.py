"""A fake engine that speaks the real protocol (``rendering.engine.serve``) and does no real work.

``python -m tests.fake_engine`` takes the place of ``python -m rendering.engine serve``. What it does with a request
is its *mode*: ``ok``, ``large`` (a video of many bytes), ``crash`` (the process dies), ``hang`` (no progress for ever),
``oom``, ``no_face``, or ``not_good`` for the mouths that it learns. A footage or audio file that begins with
``fake:<mode>`` sets the mode of its own request;
``FAKE_ENGINE_MODE`` sets all others.
``FAKE_ENGINE_SECONDS`` is how long one request takes (default 0.05); ``fake:<mode>:<seconds>`` sets it per file, and
the video of ``fake:<mode>:<seconds>:<word>`` is unlike that of any other word.
``FAKE_ENGINE_REFUSED`` is what it says that it cannot use, as JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rendering.engine import device, scratch, serve
from rendering.engine.alignment import weights
from rendering.engine.contract import (
    ENGINE_VERSION,
    MOUTHS_CHECKPOINT,
    MOUTHS_NETWORK,
    MOUTHS_PICTURE,
    MOUTHS_PROGRESS,
    MOUTHS_REPORT,
    MOUTHS_STAGES,
    NEURAL,
    PREPARE_STAGES,
    RENDER_STAGES,
    LearntMouths,
    PreparedFootage,
    Quality,
    RenderResult,
    Report,
    TakeInfo,
    to_json,
)
from rendering.engine.errors import EngineError

STEPS = 10
FACES = ((0.1, 0.2, 0.2, 0.4), (0.6, 0.2, 0.2, 0.4))
LARGE = 12 << 20
"""Bytes of a video in the mode ``large``."""


def mode_of(*paths: str) -> tuple[str, float]:
    """The mode and the seconds of work that these files ask for."""
    seconds = float(os.environ.get("FAKE_ENGINE_SECONDS", "0.05"))
    for path in paths:
        words = Path(path).read_bytes()[:64].split(b"\n")[0].decode("ascii", "replace").split(":")
        if words[0] == "fake":
            return words[1], float(words[2]) if len(words) > 2 else seconds
    return os.environ.get("FAKE_ENGINE_MODE", "ok"), seconds


def video_of(audio: str) -> bytes:
    words = Path(audio).read_bytes()[:64].split(b"\n")[0].split(b":")
    return b"fake video" + b"".join(words[3:4])


def work(stages: tuple[str, ...], mode: str, seconds: float, report: Report) -> None:
    """Report through ``stages`` for ``seconds``, misbehaving half-way as ``mode`` says."""
    for number, stage in enumerate(stages):
        for step in range(1, STEPS + 1):
            time.sleep(seconds / STEPS / len(stages))
            report(stage, step, STEPS)
        if number == len(stages) // 2:
            misbehave(mode)


def misbehave(mode: str) -> None:
    if mode == "crash":
        os.abort()
    if mode == "hang":
        time.sleep(3600)
    if mode == "oom":
        raise EngineError("out_of_memory", "fake")
    if mode == "no_face":
        raise EngineError("no_face", "fake")


def prepare(args: Mapping[str, Any], report: Report) -> dict[str, Any]:
    work(PREPARE_STAGES, *mode_of(args["footage"]), report)
    chosen = args["options"].get("face")
    folder = Path(args["out"])
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("poster.jpg", "filmstrip.jpg"):
        (folder / name).write_bytes(b"fake picture")
    (folder / "track.npz").write_bytes(b"fake track")
    (folder / "lesson.npz").write_bytes(b"fake lesson")
    if args["options"].get("preview"):
        (folder / "preview.mp4").write_bytes(b"fake preview")
    return to_json(
        PreparedFootage(
            engine=ENGINE_VERSION,
            folder=folder,
            width=320,
            height=320,
            fps=25.0,
            frames=500,
            duration_s=20.0,
            has_audio=True,
            tier="A",
            verdict="ready",
            findings=(),
            speech_spans=((0.5, 19.5),),
            face_box=(0.3, 0.2, 0.4, 0.5),
            faces=FACES,
            presenter=int(bool(chosen) and chosen[0] > 0.5),
            offset_ms=0.0,
            figures={"cv_open": 0.6, "speech_s": 19.0, "lesson_s": 19.0},
            tracker=weights.ALIGNMENT if weights.asked() == weights.ALIGNMENT else "",
        )
    )


def followed(text: str, language: str) -> float | None:
    """No fake take says a text in Klingon; all others say theirs."""
    return (0.1 if language == "tlh" else 0.9) if text else None


def render(args: Mapping[str, Any], report: Report) -> dict[str, Any]:
    with scratch.replacing(Path(args["out"])) as part:
        part.write_bytes(video_of(args["audio"]))
        if mode_of(args["audio"])[0] == "large":
            part.write_bytes(os.urandom(LARGE))
        work(RENDER_STAGES, *mode_of(args["audio"], args["footage"]), report)
    backend, instead, identity = drawn_by(args.get("options", {}).get("backend", "exemplar"), args.get("mouths"))
    quality = Quality(
        sync=0.6,
        offset_ms=0.0,
        flicker=1.0,
        sharpness=1.0,
        longest_freeze_s=0.0,
        frames_kept=0,
        text_followed=followed(args.get("text", ""), args.get("language", "")),
    )
    return to_json(
        RenderResult(
            engine=ENGINE_VERSION,
            backend=backend,
            instead=instead,
            mouths=identity,
            tier="A",
            video=Path(args["out"]),
            width=320,
            height=320,
            fps=25.0,
            frames=100,
            duration_s=4.0,
            quality=quality,
            seconds=dict.fromkeys(RENDER_STAGES, 0.01),
            base=base_of(args.get("base")),
        )
    )


def drawn_by(backend: str, folder: str | None) -> tuple[str, str, str]:
    """Who draws, why not the one that was asked for, and with which mouth model: one that :func:`mouths` made."""
    if backend != NEURAL:
        return backend, "", ""
    if not folder or not Path(folder, MOUTHS_REPORT).is_file():
        return "exemplar", "no_mouths", ""
    said = json.loads(Path(folder, MOUTHS_REPORT).read_text())
    if said["engine"] != ENGINE_VERSION:
        return "exemplar", "stale_mouths", ""
    return (backend, "", said["identity"]) if said["passed"] else ("exemplar", "mouths_not_good", "")


def mouths(args: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Good, unless the footage's mode is ``not_good``. Half-way it leaves what a training leaves, and ``step`` of that
    says where an interrupted one went on."""
    mode, seconds = mode_of(args["footage"])
    out, content = Path(args["out"]), Path(args["footage"]).read_bytes()
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / MOUTHS_CHECKPOINT
    already = int(checkpoint.read_text()) if checkpoint.exists() else 0

    def show(stage: str, done: int, total: int) -> None:
        if stage == "train" and done > already:
            said = {"step": done, "steps": total, "eta_s": float(total - done), "psnr": 20.0 + done}
            left = {MOUTHS_CHECKPOINT: str(done), MOUTHS_PICTURE: "fake picture", MOUTHS_PROGRESS: json.dumps(said)}
            for name, words in left.items():
                with scratch.replacing(out / name) as part:
                    part.write_text(words)
        report(stage, done, total)

    work(MOUTHS_STAGES, mode, seconds, show)
    network = (
        b"fake network" + content + (Path(args["initial"], MOUTHS_NETWORK).read_bytes() if "initial" in args else b"")
    )
    (out / MOUTHS_NETWORK).write_bytes(network)
    learnt = LearntMouths(
        engine=ENGINE_VERSION,
        passed=mode != "not_good",
        figures={"psnr": 20.0 if mode == "not_good" else 30.0, "leak_r": None, "begun": float(already)},
        failed=("psnr",) if mode == "not_good" else (),
        identity=hashlib.sha256(network).hexdigest()[:16],
        size=128,
        steps=STEPS,
        psnr=20.0 + STEPS,
        initial="fake" if "initial" in args else "",
    )
    (out / MOUTHS_REPORT).write_text(json.dumps(to_json(learnt)))
    checkpoint.unlink(missing_ok=True)
    return to_json(learnt)


def base_of(folder: str | None) -> str:
    """The identity of a base that :func:`base` made; empty for none and for what no fake engine made."""
    words = Path(folder, "base.npz").read_text().split(":") if folder else [""]
    return words[1] if words[0] == "fake base" else ""


def base(args: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Pays, unless the first lesson's mode is ``no_gain``. The same lessons make the same base."""
    lessons = [Path(lesson["lesson"]) for lesson in args["lessons"]]
    mode, seconds = mode_of(*map(str, lessons))
    work(("train",), mode, seconds, report)
    identity = hashlib.sha256(b"".join(lesson.read_bytes() for lesson in lessons)).hexdigest()[:16]
    if mode != "no_gain":
        folder = Path(args["out"])
        folder.mkdir()
        (folder / "base.npz").write_text(f"fake base:{identity}")
    presenters = len({lesson["presenter"] for lesson in args["lessons"]})
    held_out = {"opening_before": 0.4, "opening_after": 0.55, "gain": 0.1}
    told = {"engine": ENGINE_VERSION, "presenters": presenters, "speech_s": 57.0, **held_out}
    return told | ({"kept": False} if mode == "no_gain" else {"kept": True, "identity": identity})


def take(args: Mapping[str, Any], report: Report) -> dict[str, Any]:
    work(("listen",), *mode_of(args["audio"]), report)
    return to_json(
        TakeInfo(
            duration_s=4.0,
            sample_rate=16000,
            channels=1,
            loudness_lufs=-20.0,
            peak_dbfs=-3.0,
            waveform=(128,) * 400,
            speech_spans=((0.2, 3.8),),
        )
    )


if __name__ == "__main__":
    serve.run(
        {"prepare": prepare, "render": render, "take": take, "base": base, "mouths": mouths},
        {
            "engine": ENGINE_VERSION,
            "backends": ["exemplar", NEURAL],
            "weights": {"exemplar": "", NEURAL: ""},
            "device": device.announced(),
            "tracker": weights.asked(),
            "refused": json.loads(os.environ.get("FAKE_ENGINE_REFUSED", "{}")),
        },
    )
