"""Everything the engine refuses or fails with: one table of codes, sentences and remedies.

The sentences are English message ids; the site translates them and the command line prints them as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["permanent", "transient", "suspect"]


def gettext_noop(message: str) -> str:
    """Mark ``message`` for translation and return it unchanged (the engine has no translator of its own)."""
    return message


@dataclass(frozen=True)
class Failure:
    """One way the engine can say no.

    ``kind``: *permanent* (the input is at fault, never tried again), *transient* (tried again after a back-off) or
    *suspect* (the machine is at fault, tried again elsewhere).
    """

    code: str
    sentence: str
    remedy: str
    kind: Kind = "permanent"


_ = gettext_noop
FAILURES: dict[str, Failure] = {
    failure.code: failure
    for failure in (
        Failure("empty_file", _("The file is empty."), _("Export it again and upload the new file.")),
        Failure(
            "bad_media",
            _("The file is damaged or is not a video or audio file."),
            _("Open it in a player to check it, then export it again as MP4 (video) or WAV (audio)."),
        ),
        Failure(
            "no_video",
            _("The file has no picture."),
            _("Upload it as an audio take, or choose a video file as footage."),
        ),
        Failure("no_audio", _("The file has no sound."), _("Choose a file with a voice in it.")),
        Failure(
            "silent_audio",
            _("The sound is silent or too quiet to hear words in."),
            _("Check the microphone or the export level and upload the take again."),
        ),
        Failure(
            "no_voice",
            _("No voice can speak this text."),
            _("Give a text with words in it, and the code of a language that espeak-ng speaks: en, zh, es, ..."),
        ),
        Failure(
            "too_short",
            _("The file is shorter than can be used."),
            _("Use footage of at least 3 seconds and a take of at least 0.3 seconds."),
        ),
        Failure(
            "too_long",
            _("The file is longer than this installation allows."),
            _("Cut it into parts, or ask the operator to raise the limit."),
        ),
        Failure(
            "too_large",
            _("The picture is larger than this installation allows."),
            _("Export it at 4K (3840 x 2160) or smaller."),
        ),
        Failure(
            "low_rate",
            _("The footage has fewer than 15 frames a second."),
            _("Film or export it at 24 frames a second or more."),
        ),
        Failure(
            "no_face",
            _("No face could be followed through the footage."),
            _("Use footage in which one face is seen from the front in nearly every frame."),
        ),
        Failure(
            "face_lost",
            _("The face is out of sight for too long."),
            _("Trim the footage to the part in which the presenter faces the camera."),
        ),
        Failure(
            "face_small",
            _("The face is too small in the picture."),
            _("Film closer: the eyes should be at least 24 pixels apart."),
        ),
        Failure(
            "face_turned",
            _("The presenter looks too far to the side."),
            _("Use footage in which the presenter faces the camera within about 30 degrees."),
        ),
        Failure(
            "no_steady_shot",
            _("No shot of one presenter lasts 3 seconds."),
            _("Use one unbroken shot instead of a cut sequence."),
        ),
        Failure("no_backend", _("The preset asks for an engine that is not installed."), _("Choose another preset.")),
        Failure(
            "no_checkpoint",
            _("Wav2Lip needs a checkpoint, and the machines that render have none."),
            _("Choose another way of making the mouth, or ask the operator: WAV2LIP_CHECKPOINT has to name its file."),
        ),
        Failure(
            "bad_checkpoint",
            _("The file that was set up as Wav2Lip checkpoint cannot be read as one."),
            _("Ask the operator for a checkpoint of the published 96-pixel network, or choose another way."),
        ),
        Failure(
            "unsafe_checkpoint",
            _("The file that was set up as Wav2Lip checkpoint holds more than weights, so it was not opened."),
            _("Ask the operator for one that holds weights alone: other contents could run code."),
        ),
        Failure(
            "no_enhancer",
            _("The preset asks for enhanced mouths, and the machines that render have no model for that."),
            _("Set the enhancement to 0, or ask the operator: ENHANCER_MODEL has to name its file."),
        ),
        Failure(
            "bad_enhancer",
            _("The file that was set up for enhancing mouths cannot be used as such a model."),
            _("Ask the operator for a TorchScript model that answers a face with a face of the same size."),
        ),
        Failure(
            "unsafe_enhancer",
            _("The model that was set up for enhancing mouths asks for more than arithmetic, so it was not loaded."),
            _("Ask the operator for one whose code works on pictures alone: other code could reach files."),
        ),
        Failure(
            "no_tracker",
            _("The machine is set up to follow faces in a way that it does not know."),
            _("Ask the operator to set TRACKER to bundled or face-alignment."),
            "suspect",
        ),
        Failure(
            "no_tracker_weights",
            _("The machine is set up to follow faces with face-alignment, and its weights are not there."),
            _("Ask the operator to put them where FACE_ALIGNMENT_WEIGHTS says, or to set TRACKER to bundled."),
            "suspect",
        ),
        Failure(
            "bad_tracker_weights",
            _("The weights that were set up for face-alignment cannot be read as such."),
            _("Ask the operator for those that the package itself fetches, or to set TRACKER to bundled."),
            "suspect",
        ),
        Failure(
            "stale_analysis",
            _("The footage was analysed by another version of the engine."),
            _("Analyse the footage again."),
        ),
        Failure(
            "base_too_little",
            _("There is too little footage of different presenters to learn from."),
            _("Speech of at least 3 presenters, 60 seconds in all, with its own sound is needed."),
        ),
        Failure(
            "base_no_gain",
            _("What was learnt from this footage does not understand new voices better than the built-in model."),
            _("The built-in model stays in use. Footage of more presenters, with clear sound, helps most."),
        ),
        Failure(
            "no_mouths",
            _("The footage has no mouth model, so the presenter's own mouths were used."),
            _("Train one for this footage, or choose another way of making the mouth."),
        ),
        Failure(
            "stale_mouths",
            _(
                "The mouth model belongs to another analysis of the footage or to another version of the engine, "
                "or its files are damaged."
            ),
            _("Train it again. Until then the presenter's own mouths are used."),
        ),
        Failure(
            "mouths_not_good",
            _("What was learnt from this footage does not draw the presenter's mouth well enough."),
            _("The presenter's own mouths are used. Longer footage with more speech, seen from the front, helps most."),
        ),
        Failure(
            "mouths_too_little",
            _("The footage shows too little of the presenter's whole face to learn a mouth model from."),
            _("Use footage with at least 15 seconds in which the face is seen from the front and nothing covers it."),
        ),
        Failure(
            "footage_tier",
            _("The presenter's mouth hardly opens in this footage: there is nothing to learn a mouth model from."),
            _("Film 20 seconds or more of the presenter talking."),
        ),
        Failure("cancelled", _("The work was cancelled."), _("Start it again when you need it.")),
        Failure(
            "out_of_memory",
            _("The machine ran out of memory."),
            _("It is tried a few times by itself. If all of them fail, use smaller footage."),
            "transient",
        ),
        Failure(
            "io_error",
            _("A file could not be read or written."),
            _("It is tried a few times by itself. If all of them fail, tell the operator, then try again."),
            "transient",
        ),
        Failure(
            "disk_full",
            _("The machine's disk had no room left."),
            _("It goes on by itself when there is room again; tell the operator if that takes long."),
            "transient",
        ),
        Failure(
            "engine_crashed",
            _("The engine stopped in the middle of the work."),
            _("It is tried a few times by itself. If all of them fail, tell the operator, then try again."),
            "suspect",
        ),
        Failure(
            "engine_killed",
            _("The engine was ended from outside in the middle of the work."),
            _("Your files are not at fault. It is tried a few times by itself. If all fail, tell the operator."),
            "transient",
        ),
        Failure(
            "engine_hung",
            _("The engine stopped making progress."),
            _("It is tried a few times by itself. If all of them fail, tell the operator, then try again."),
            "suspect",
        ),
        Failure(
            "worker_lost",
            _("The machine that was rendering this went away."),
            _("It is tried a few times by itself. If all of them fail, tell the operator, then try again."),
            "suspect",
        ),
        Failure(
            "device_error",
            _("The graphics device reported an error."),
            _("It is tried a few times by itself, elsewhere if it can be. If all of them fail, tell the operator."),
            "suspect",
        ),
    )
}
del _


class EngineError(Exception):
    """A failure with a ``code`` from :data:`FAILURES`; ``detail`` is for the log, never for the page."""

    def __init__(self, code: str, detail: str = "") -> None:
        self.code = code
        self.failure = FAILURES[code]
        self.detail = detail
        super().__init__(f"{code}: {detail or self.failure.sentence}")
