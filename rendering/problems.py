"""The rendering room's own entries in the catalogue of problems."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from projects.problems import Problem

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
