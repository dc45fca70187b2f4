"""The rendering room's own entries in the catalogue of problems."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from projects.problems import Problem, codes, get

PROBLEMS = (
    Problem(
        "nothing_to_render",
        _("None of these cells can be rendered now."),
        _("Give every presenter footage and every script a take, and see the cells for what each of them needs."),
        409,
    ),
    Problem(
        "no_footage",
        _("The presenter has no footage yet."),
        _("Upload a video of the presenter."),
        409,
    ),
    Problem(
        "no_take",
        _("The script has no audio take in this language yet."),
        _("Upload a recording of the script."),
        409,
    ),
    Problem(
        "already_rendering",
        _("This cell is being rendered already."),
        _("Wait for it, or cancel it first."),
        409,
    ),
    Problem(
        "up_to_date",
        _("This is up to date: the same footage, take, preset and engine would give the same video."),
        _("Change the footage, the take or the preset, or look at the version that is there."),
        409,
    ),
    Problem(
        "base_being_made",
        _("A model is being learnt from the team's footage already."),
        _("Wait for it, or stop it first."),
        409,
    ),
    Problem(
        "base_switched_off",
        _("This team does not let machines learn from its footage."),
        _("Switch “Learn from our footage” on first."),
        409,
    ),
    Problem(
        "stopped_by_operator",
        _("An operator of this installation stopped it."),
        _("Ask them before you start it again."),
        409,
    ),
    Problem(
        "mouths_being_made",
        _("A mouth model is being learnt from this footage already."),
        _("Wait for it, or stop it first."),
        409,
    ),
    Problem(
        "mouths_not_analysed",
        _("%(name)s cannot be learnt from: it is not analysed, or was refused."),
        _("Wait for its analysis, or upload other footage."),
        409,
    ),
    Problem(
        "mouths_put_away",
        _("%(name)s or its presenter is put away."),
        _("Bring it back first."),
        409,
    ),
    Problem(
        "mouths_removed",
        _("This mouth model was removed."),
        _("Have one learnt again if you want the presenter's own network to draw."),
        410,
    ),
    Problem("cell_unknown", _("This cell is not on the board any more."), _("Reload the page."), 404),
    Problem(
        "render_minutes_spent",
        _(
            "%(team)s has %(left)s of %(limit)s render minutes left this month (%(used)s are used or waiting); this"
            " needs %(asked)s."
        ),
        _("Ask the operator for more minutes, or wait: they are renewed on %(renewed)s."),
        409,
    ),
    Problem(
        "render_minutes_short",
        _("%(team)s has %(left)s of %(limit)s render minutes left this month; these %(count)s videos need %(asked)s."),
        _(
            "Nothing was started. The first %(fits)s of them fit: choose fewer cells, ask the operator for more,"
            " or wait until they are renewed on %(renewed)s."
        ),
        409,
    ),
    Problem(
        "render_minutes_over",
        _("The team's render minutes of the month were used up when this recording's length became known."),
        _("Ask the operator for more minutes, or render it again when they are renewed next month."),
        409,
    ),
    Problem(
        "team_storage_spent",
        _("%(team)s has used %(used)s of the %(limit)s that it may keep: nothing more can be made."),
        _("Delete versions or ZIPs that nobody needs, or ask the operator for more storage."),
        507,
    ),
    Problem(
        "bad_days",
        _("Files are kept for 1 to 3650 days, or (empty) for ever."),
        _("Correct it and save again."),
        400,
    ),
    Problem(
        "bad_limit",
        _("A limit is empty or a number above nothing, and no longer than a day for a take."),
        _("Correct it and save again."),
        400,
    ),
    Problem("nothing_to_export", _("There is nothing finished to pack yet."), _("Render some cells first."), 409),
    Problem("nothing_to_retry", _("Nothing here has failed."), _("Reload the page to see how it stands."), 409),
    Problem(
        "export_failed",
        _("The ZIP could not be written."),
        _("Pack it again; tell the operator if it keeps failing."),
        500,
    ),
    Problem(
        "video_missing",
        _("A video that belongs into the ZIP is no longer stored."),
        _("Render that cell again, then pack again."),
        410,
    ),
    Problem(
        "video_removed",
        _("The video of this version was removed by the team's retention rule."),
        _("Render the cell again: the new version has a video."),
        410,
    ),
    Problem("published_version", _("This version is the published one."), _("Publish another version first."), 409),
    Problem("default_preset", _("The team's default preset cannot be deleted."), _("Make another the default."), 409),
    Problem("preset_name_taken", _("The team has a preset of that name already."), _("Choose another name."), 409),
    Problem("bad_preset", _("A value of the preset is out of range: %(why)s"), _("Correct it and save again."), 400),
    Problem(
        "no_such_act",
        _("That cannot be done now."),
        _("It has changed in the meantime: reload the page to see how it stands."),
        409,
    ),
    Problem(
        "bad_retry_policy",
        _("A job may be tried 1 to 20 times, and rest 0 to 3600 seconds after its first failed try."),
        _("Correct it and save again. Empty fields mean: as the installation says."),
        400,
    ),
    Problem(
        "nothing_chosen",
        _("Nothing is chosen, or nothing of it can be changed that way now."),
        _("Choose other rows: it may have changed in the meantime."),
        409,
    ),
    Problem(
        "bad_share",
        _("A weight is 1 to 100, a limit 1 to 1000 or empty, and a priority -100 to 1000."),
        _("Correct it and save again."),
        400,
    ),
)

_ITS_LOG = _("Read the log of its tries, and what else the machine did then. Mend that, then try it again.")

FOR_OPERATORS: dict[str, str | Promise] = {
    "too_long": _("Let the team cut it into parts, or give it a higher limit."),
    "no_checkpoint": _("Set WAV2LIP_CHECKPOINT to a file that this machine can read."),
    "bad_checkpoint": _("Set WAV2LIP_CHECKPOINT to a checkpoint of the published 96-pixel network."),
    "unsafe_checkpoint": _("Set WAV2LIP_CHECKPOINT to a file that holds weights alone: other contents could run code."),
    "no_enhancer": _("Set ENHANCER_MODEL to a file that this machine can read."),
    "bad_enhancer": _("Set ENHANCER_MODEL to a TorchScript model that answers a face with a face of the same size."),
    "unsafe_enhancer": _("Set ENHANCER_MODEL to one whose code works on pictures alone: other code could reach files."),
    "no_tracker": _("Set TRACKER to bundled or face-alignment."),
    "no_tracker_weights": _("Put them where FACE_ALIGNMENT_WEIGHTS says, or set TRACKER to bundled."),
    "bad_tracker_weights": _("Set up those that the package itself fetches, or set TRACKER to bundled."),
    "io_error": _("See whether its disk and the storage answer, and read the log of its tries. Then try it again."),
    "disk_full": _("Make room on its disk; it goes on by itself."),
    "engine_crashed": _ITS_LOG,
    "engine_killed": _("See who ended it: a person, systemd-oomd or earlyoom. Then try it again."),
    "engine_hung": _ITS_LOG,
    "worker_lost": _("See whether the host runs and reaches the database. Then try it again."),
    "device_error": _("See what the driver and the kernel's log say of the device. Then try it again."),
    "storage_unavailable": _("Run the doctor on that host: it says what the storage answers."),
    "render_minutes_over": _("Give the team more minutes, or leave it until they are renewed next month."),
    "team_storage_spent": _("Give the team more storage, or let it delete versions and ZIPs that nobody needs."),
}
"""What to do, for whom the others are sent to: said on the farm's pages in place of the catalogue's remedy."""

UNFORESEEN = _("No sentence is known for this code. Read the log of the try that failed, then try it again.")


def remedy_for_operators(code: str) -> str:
    """What an operator is told to do about ``code``."""
    return str(FOR_OPERATORS.get(code, get(code).remedy if code in codes() else UNFORESEEN))
