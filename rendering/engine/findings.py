"""The gate: what makes footage unusable, what is worth saying about it, and in which words. Standard library only.

Refusals are failures (``errors.FAILURES``); what is here accompanies footage and takes that can be used. Sentences are
English message ids, as in ``errors``.
"""

from __future__ import annotations

from dataclasses import dataclass

from rendering.engine.contract import Finding, Tier
from rendering.engine.errors import gettext_noop


@dataclass(frozen=True)
class Note:
    """A warning or a remark: what was found and what to do about it. ``unit`` is that of the finding's figure."""

    code: str
    sentence: str
    remedy: str
    unit: str = ""
    with_figure: str = ""
    """The sentence where the figure is known, with ``%(seconds)s`` for it."""


_ = gettext_noop
FINDINGS: dict[str, Note] = {
    note.code: note
    for note in (
        Note(
            "short_footage",
            _("There is little footage, so the mouth has few shapes to choose from and the match cannot be scored."),
            _("Film 20 seconds or more of natural speech for a better match."),
            "s",
        ),
        Note(
            "little_speech",
            _("There is little speech in the footage; general lip motion is used."),
            _("Film 20 seconds or more of the presenter talking."),
            "s",
        ),
        Note(
            "no_own_voice",
            _("The footage has no sound; general lip motion is used."),
            _("Upload the version with its original sound, if there is one."),
        ),
        Note(
            "sound_mismatch",
            _("The sound does not match the mouth; general lip motion is used."),
            _("Check that the footage is not dubbed and that its sound belongs to the presenter."),
            "r",
        ),
        Note(
            "sound_offset",
            _("Sound and picture of the footage are apart; this is corrected."),
            _("Nothing to do. If lips look early or late, export the footage again with its sound in place."),
            "ms",
        ),
        Note(
            "still_mouth",
            _("The mouth hardly opens in the footage, so an open mouth is painted."),
            _("Film the presenter talking: real mouths look better than painted ones."),
            "IO",
        ),
        Note(
            "face_gaps",
            _("The face is lost in a few frames; they keep their own picture."),
            _("Nothing to do, unless the presenter talks there."),
            "%",
        ),
        Note(
            "mouth_covered",
            _("Something passes before the mouth; those frames keep their own lips."),
            _("Film without a hand, cup or microphone before the mouth."),
            "s",
            _("Something passes before the mouth for %(seconds)s seconds; those frames keep their own lips."),
        ),
        Note(
            "caption_over_chin",
            _("A caption lies over the chin; what is under it stays as it was filmed."),
            _("Use footage without burnt-in captions, and add them to the finished video."),
        ),
        Note(
            "small_face",
            _("The face is small in the picture, so the mouth shows little detail."),
            _("Film closer, or in a higher resolution."),
            "px",
        ),
        Note(
            "turned_face",
            _("The presenter often looks to the side."),
            _("Footage in which they face the camera gives a better match."),
            "°",
        ),
        Note(
            "several_faces",
            _("Several faces are in the picture; one of them speaks."),
            _("Check that the right one is marked, or choose another."),
        ),
        Note(
            "several_shots",
            _("The footage has cuts; longer takes use only the last long shot again."),
            _("One unbroken shot works best."),
            "",
        ),
        Note(
            "variable_rate",
            _("The frame rate varies; the result has a constant one."),
            _("Nothing to do."),
            "fps",
        ),
        Note(
            "odd_size",
            _("The picture has an odd width or height; the result is one pixel smaller."),
            _("Nothing to do."),
        ),
        Note(
            "hdr",
            _("The footage is high dynamic range; the result is standard range."),
            _("Nothing to do. Film in standard range to choose the look yourself."),
        ),
        Note(
            "interlaced",
            _("The footage is interlaced; the result is progressive."),
            _("Nothing to do."),
        ),
        Note(
            "supplied_checkpoint",
            _("Mouths are drawn by a Wav2Lip checkpoint that the operator supplied."),
            _("Its licence applies to the videos: that of the published weights rules out commercial use."),
        ),
        Note(
            "supplied_enhancer",
            _("Mouths are enhanced by a model that the operator supplied."),
            _("Its licence applies to the videos: those of many published face restorers rule out commercial use."),
        ),
        Note(
            "take_no_speech",
            _("Hardly any speech was found in the sound."),
            _("Check that it is the right file, with a clear voice in it."),
            "s",
        ),
    )
}
del _

MIN_FOOTAGE_S = 2.9
"""Three seconds, less what containers round away."""
MIN_FPS = 14.9
MAX_LOST_SHARE = 0.10
MAX_LOST_S = 1.0
NO_FACE_SHARE = 0.5
"""Footage that loses the face in more than this never really had one."""
MIN_IO_PX = 24.0
SMALL_IO_PX = 45.0
MAX_YAW_P90 = 30.0
TURNED_YAW_P90 = 20.0
SCORED_FOOTAGE_S = 20.0
"""Below this the cross-validation cannot be trusted (wrong sound reaches .58)."""
OWN_VOICE_S = 10.0
"""With less speech than this, a mouth that does not follow the sound is no sign of dubbing."""
MOVING_MOUTH_IO = 0.04
"""Spread of the opening (5th to 95th percentile) of a mouth that moves: still ones measured .005 and .022, the least
talking ones .049 and .066 (short sentences, filmed small)."""
NOTED_OFFSET_MS = 60.0


@dataclass(frozen=True)
class Seen:
    """What the gate judges by."""

    duration_s: float
    fps: float
    tracked: float
    """Share of frames in which the face was followed."""
    longest_gap_s: float
    io_px: float
    yaw_p90: float
    longest_shot_s: float
    """Of one presenter."""
    shots: int
    has_audio: bool
    speech_s: float
    """Speech under followed frames."""
    cv_open: float
    offset_ms: float
    opening_range: float
    """95th minus 5th percentile, IO."""
    faces: int
    """Steady ones in the first frames."""
    captions: int
    """Lines of text over the lower face."""
    covered_s: float
    """With something before the mouth."""
    personal: bool
    """The presenter's own voice model is good enough to be used."""


def refusals(seen: Seen) -> tuple[Finding, ...]:
    """Why the footage cannot be used, gravest first; empty when it can."""
    lost = 1 - seen.tracked
    checks = (
        ("no_face", lost > NO_FACE_SHARE, 100 * seen.tracked),
        ("face_small", seen.io_px < MIN_IO_PX, seen.io_px),
        ("no_steady_shot", seen.longest_shot_s < MIN_FOOTAGE_S, seen.longest_shot_s),
        ("face_lost", MAX_LOST_SHARE < lost <= NO_FACE_SHARE or seen.longest_gap_s > MAX_LOST_S, seen.longest_gap_s),
        ("face_turned", seen.yaw_p90 > MAX_YAW_P90, seen.yaw_p90),
    )
    return tuple(Finding(code=code, level="refused", figure=round(figure, 2)) for code, bad, figure in checks if bad)


def tier_of(seen: Seen) -> Tier:
    """The rung of the fallback ladder that this footage allows."""
    if seen.opening_range < MOVING_MOUTH_IO:
        return "C"
    return "A" if seen.personal else "B"


def remarks(seen: Seen) -> tuple[Finding, ...]:
    """What is worth saying about usable footage, warnings first."""
    still = seen.opening_range < MOVING_MOUTH_IO
    heard = seen.has_audio and not still
    general = heard and not seen.personal
    enough = seen.speech_s >= OWN_VOICE_S
    warnings = (
        ("still_mouth", still, seen.opening_range),
        ("no_own_voice", not seen.has_audio and not still, None),
        ("little_speech", general and not enough, seen.speech_s),
        ("sound_mismatch", general and enough, seen.cv_open),
        ("short_footage", seen.duration_s < SCORED_FOOTAGE_S, seen.duration_s),
        ("sound_offset", abs(seen.offset_ms) > NOTED_OFFSET_MS, seen.offset_ms),
        ("mouth_covered", seen.covered_s > 0, seen.covered_s),
        ("caption_over_chin", seen.captions > 0, None),
        ("small_face", seen.io_px < SMALL_IO_PX, seen.io_px),
        ("turned_face", seen.yaw_p90 > TURNED_YAW_P90, seen.yaw_p90),
    )
    remarks = (
        ("face_gaps", seen.tracked < 1, 100 * (1 - seen.tracked)),
        ("several_shots", seen.shots > 1, float(seen.shots)),
        ("several_faces", seen.faces > 1, float(seen.faces)),
    )
    return _noted(warnings, "warning") + _noted(remarks, "info")


def _noted(checks: tuple[tuple[str, bool, float | None], ...], level: str) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            code=code,
            level="warning" if level == "warning" else "info",
            figure=None if figure is None else round(figure, 2),
        )
        for code, found, figure in checks
        if found
    )
