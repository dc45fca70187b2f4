"""What crosses the engine's border: frozen dataclasses, paths and one callback. Standard library only."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

ENGINE_VERSION = "1.3"
"""Part of every fingerprint: raised when the same inputs would give another picture."""

TEXT_FOLLOWED = 0.5
"""Share of a take's speech that has to say the given text, or the text is not what is said and is left aside."""
BASE_MIN_PRESENTERS = 3
"""For a base model of a team's own. With two, each half of the test would rest on one mouth."""
BASE_MIN_SPEECH_S = 60.0
"""Of all presenters together; see ``docs/engine.md`` for what less and more of it gave."""
LESSON = "lesson.npz"
"""In the folder of an analysis: what the footage can teach such a base model; absent when it teaches nothing."""

BY_ENHANCER = "+enhancer"
"""Follows the name of a back end that the machine can also enhance the mouths of."""


def is_card(device: str) -> bool:
    """Whether a device, in the words of a worker's engine, is a graphics card or poses as one (``ENGINE_DEVICE=fake``).

    Empty: the engine has not said yet.
    """
    return device not in ("", "cpu")


Tier = Literal["A", "B", "C"]
"""A: patches + presenter's own voice model + base. B: patches + base. C: warp and paint (the mouth never opens)."""


class Report(Protocol):
    """Called as work moves; may raise to stop it (cancel, lost lease). ``done`` of ``total`` within ``stage``."""

    def __call__(self, stage: str, done: int, total: int) -> None: ...


def silent(stage: str, done: int, total: int) -> None:
    """A report that tells nobody."""


PREPARE_STAGES = ("probe", "track", "listen", "learn", "profile")
RENDER_STAGES = ("prepare", "listen", "lip-sync", "compose", "check")
MOUTHS_STAGES = ("collect", "train", "measure")
"""Stages in order, as reported by ``prepare``, ``render`` and ``learn_mouths``. Encoding runs beside ``compose``."""

NEURAL = "neural"
"""The back end that draws with a mouth model: a network that learnt from this very footage."""
MOUTHS_NETWORK, MOUTHS_REPORT = "neural.pt", "neural.json"
"""The files of a mouth model. The report is written last: where it is, the model is whole."""
MOUTHS_CHECKPOINT = "neural.training"
"""Beside them while it learns: what another sitting, also on another machine, goes on from."""
MOUTHS_PROGRESS, MOUTHS_PICTURE = "progress.json", "progress.jpg"
"""And how far it is: ``{"step", "steps", "eta_s", "psnr"}``, and held-out faces with the hole, drawn, and as filmed."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is refused before it is decoded in full."""

    max_seconds: float = 3600.0
    """Longest footage or take, in seconds."""
    max_pixels: int = 4096 * 2304
    """Largest picture, width x height."""


@dataclass(frozen=True, kw_only=True)
class PrepareOptions:
    """Choices that change an analysis."""

    face: tuple[float, float] | None = None
    """Where the presenter's face is in the first frame, x and y in 0..1; None takes the largest steady face."""
    preview: bool = False
    """Also leave ``preview.mp4``, a small copy that every browser plays, when the footage itself is none."""
    limits: Limits = Limits()


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing the gate has to say about footage. ``code`` is in ``findings.FINDINGS`` or ``errors.FAILURES``."""

    code: str
    level: Literal["refused", "warning", "info"]
    figure: float | None = None
    """The measured figure behind it, in the finding's own unit."""


@dataclass(frozen=True, kw_only=True)
class PreparedFootage:
    """What ``prepare`` leaves in its folder (``analysis.json`` holds exactly these fields).

    Beside it: ``poster.jpg``, ``filmstrip.jpg`` and, if asked for and needed, ``preview.mp4``; :data:`LESSON`; and what
    is private to the engine, ``track.npz``, ``lips.npz``, ``voice.npz`` and ``patches.bin``.
    """

    engine: str
    folder: Path
    width: int
    height: int
    fps: float
    frames: int
    duration_s: float
    has_audio: bool
    tier: Tier | None
    """None when refused."""
    verdict: Literal["ready", "warnings", "refused"]
    findings: tuple[Finding, ...]
    speech_spans: tuple[tuple[float, float], ...]
    """Seconds, start and end."""
    face_box: tuple[float, float, float, float] | None
    """Median face, x y w h in 0..1 of the picture."""
    offset_ms: float | None
    """Sound behind picture, measured on the upload; removed while learning."""
    faces: tuple[tuple[float, float, float, float], ...] = ()
    """The steady faces that the first frames show, x y w h in 0..1, from left to right. Where there are several, the
    poster is one of those frames, and the middle of another one as ``PrepareOptions.face`` follows that one."""
    presenter: int | None = None
    """Which of ``faces`` was followed."""
    tracker: str = ""
    """Identity of the tracker that followed it; empty: the bundled one."""
    figures: dict[str, float] = field(default_factory=dict)
    """cv_open, cv_width, io_px, yaw_p90, tracked, speech_s ... what was measured."""


@dataclass(frozen=True, kw_only=True)
class RenderOptions:
    """A preset, as the engine sees it. Every field changes the fingerprint."""

    backend: str = "exemplar"
    amplitude: float = 1.0
    """Mouth opening relative to the presenter's own, 0.5..1.5."""
    when_shorter: Literal["cut", "rest"] = "cut"
    """Take shorter than footage: cut the video to the take, or keep the rest with a resting mouth."""
    crf: int = 18
    """x264 quality, 12..30 (lower is better)."""
    speed: Literal["ultrafast", "veryfast", "fast", "medium"] = "veryfast"
    """x264 preset."""
    normalize_loudness: bool = False
    """Bring the take to -16 LUFS."""
    enhance: float = 0.0
    """How much of what the operator's face-restoration model adds is laid over mouths that a network drew, 0..1."""


@dataclass(frozen=True, kw_only=True)
class RenderRequest:
    footage: Path
    analysis: Path
    """Folder written by ``prepare`` for this footage."""
    audio: Path
    out: Path
    """MP4 to write; appears whole or not at all."""
    poster: Path | None = None
    """JPEG to write, a frame of the result; None writes none."""
    options: RenderOptions = RenderOptions()
    limits: Limits = Limits()
    base: Path | None = None
    """Folder written by ``train-base --footage``: the team's own base model. None, or one that is missing, damaged or
    of another version of the engine, leaves the work to the shipped one."""
    text: str = ""
    """What the take says, if that is known: it is found in the sound, and lips close where it has p, b, m. A text that
    the take does not say is left aside; see ``Quality.text_followed``."""
    language: str = "en"
    """Of ``text``: BCP 47, or the name of an espeak-ng voice."""
    phonemes: tuple[tuple[float, float, str], ...] = ()
    """Where the times are known too (synthesised takes): (start_s, end_s, IPA; "" for silence), in order. They need no
    ``text``, and win over it."""
    mouths: Path | None = None
    """Folder of the footage's mouth model, for the back end :data:`NEURAL`. None, or one that may not draw, leaves the
    work to ``exemplar``; see ``RenderResult.instead``."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What the check measured on the finished video."""

    sync: float | None
    """Correlation of the re-tracked opening with the base model's, -1..1; None when there is too little speech."""
    offset_ms: float | None
    flicker: float | None
    """Skin flicker in the mask relative to the source's (1 = the same)."""
    sharpness: float | None
    """Mouth sharpness relative to the source's (1 = the same)."""
    longest_freeze_s: float
    frames_kept: int
    """Frames that kept their own pixels: no face could be followed, or something passed before the mouth."""
    text_followed: float | None = None
    """Share of the take's speech that says the request's text, 0..1; under .5 the text was not used. None: no
    text, or no voice that reads its language."""


@dataclass(frozen=True, kw_only=True)
class RenderResult:
    engine: str
    backend: str
    """Which one drew the mouths."""
    tier: Tier
    video: Path
    width: int
    height: int
    fps: float
    frames: int
    duration_s: float
    quality: Quality
    seconds: dict[str, float]
    """Wall-clock seconds by stage."""
    busy: dict[str, float] = field(default_factory=dict)
    """Within ``compose``, which they share: seconds that ``decode``, the back end's steps (``draw``; with a network
    ``cut``, ``network``, ``compose`` and ``enhance``), ``check`` and ``encode`` were at work."""
    codecs: dict[str, str] = field(default_factory=dict)
    """Who did ``decode`` (``software`` or ``nvdec``) and ``encode`` (``libx264``, ``libx264 x 4``: in segments beside
    each other, ``h264_nvenc``)."""
    analysis_kept: bool = False
    """The process still had the analysis in memory and did not read it again."""
    base: str = ""
    """Which base model of a team's own was used, 16 hex digits; empty: the shipped one."""
    weights: str = ""
    """Which checkpoint of the operator's drew the mouths: 16 hex digits of its SHA-256; empty: none. Where a model of
    the operator's enhanced them, "+" and its digits follow."""
    instead: str = ""
    """Why another back end drew than was asked for, a code of ``errors.FAILURES``: ``no_mouths``, ``mouths_not_good``,
    ``stale_mouths`` or ``footage_tier``; empty: it was the one."""
    mouths: str = ""
    """Which mouth model drew, 16 hex digits; empty: none."""
    mouths_kept: bool = False
    """The process still had that model's network in memory and did not load it again."""


@dataclass(frozen=True, kw_only=True)
class MouthsRequest:
    """One footage's mouth model, to be learnt."""

    footage: Path
    analysis: Path
    """Folder written by ``prepare`` for this footage."""
    out: Path
    """Folder to leave it in; a checkpoint there is gone on from."""
    initial: Path | None = None
    """Folder of another mouth model to begin with. One of another form or engine is left aside."""
    size: int | None = None
    """Pixels a side of its squares, 128, 192, 256 or 384. None: what the footage deserves on a card, 128 elsewhere."""
    max_size: int | None = None
    """No more than that, where ``size`` is None."""
    steps: int | None = None
    """Of the training; None: as many as are usual."""
    max_seconds: float | None = None
    """Wall clock that ``train`` may take, all sittings together; None: as long as it learns something."""
    limits: Limits = Limits()


@dataclass(frozen=True, kw_only=True)
class LearntMouths:
    engine: str
    passed: bool
    """Whether it may draw."""
    figures: dict[str, float | None]
    """What was measured (``neural.gate.Figures``); None where it could not be."""
    failed: tuple[str, ...]
    """Names of the figures that were not good enough."""
    identity: str
    """16 hex digits of the network's SHA-256."""
    size: int
    steps: int
    psnr: float
    """Of the network's mouths on frames held out, dB."""
    initial: str = ""
    """Which other model it began with; empty: none."""


@dataclass(frozen=True, kw_only=True)
class TakeInfo:
    """What ``measure_take`` found in an audio file."""

    duration_s: float
    sample_rate: int
    channels: int
    loudness_lufs: float
    peak_dbfs: float
    waveform: tuple[int, ...]
    """400 peaks, 0..255."""
    speech_spans: tuple[tuple[float, float], ...]
    findings: tuple[Finding, ...] = ()


def to_json(value: Any) -> dict[str, Any]:
    """A dataclass of this module as plain JSON types (paths as strings)."""

    def plain(item: Any) -> Any:
        if isinstance(item, Path):
            return str(item)
        if isinstance(item, dict):
            return {key: plain(inner) for key, inner in item.items()}
        if isinstance(item, list | tuple):
            return [plain(inner) for inner in item]
        return item

    return {key: plain(inner) for key, inner in asdict(value).items()}
