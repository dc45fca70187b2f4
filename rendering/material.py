"""Which footage and which take a render pressed now would use."""

from __future__ import annotations

from collections.abc import Iterable

from projects.models import USABLE, AnalysisState, AudioTake, Footage

PENDING = (AnalysisState.WAITING, AnalysisState.RUNNING)


def footage_by_presenter(presenter_ids: Iterable[int]) -> dict[int, Footage]:
    """For each presenter the newest usable footage; without one, the newest still being looked at; else the newest.

    One query; ``blob`` and ``poster`` are loaded, the long lists of the analysis are not.
    """
    rows = (
        Footage.objects.filter(presenter_id__in=list(presenter_ids), archived_at=None)
        .select_related("blob", "poster")
        .defer("speech_spans", "figures")
        .order_by("-pk")
    )
    best: dict[int, Footage] = {}
    for footage in rows:
        known = best.get(footage.presenter_id)
        if known is None or _footage_rank(footage) > _footage_rank(known):
            best[footage.presenter_id] = footage
    return best


def takes_by_script(script_ids: Iterable[int]) -> dict[tuple[int, str], AudioTake]:
    """For each (script, language) the newest take that is not refused, also while it waits; else the newest refused.

    One query; ``blob`` and ``script_version``, words and all, are loaded; the waveform is not.
    """
    rows = (
        AudioTake.objects.filter(script_version__script_id__in=list(script_ids), archived_at=None)
        .select_related("blob", "script_version")
        .defer("waveform", "speech_spans")
        .order_by("-pk")
    )
    best: dict[tuple[int, str], AudioTake] = {}
    for take in rows:
        place = (take.script_version.script_id, take.script_version.language)
        known = best.get(place)
        if known is None or (known.state == AnalysisState.REFUSED and take.state != AnalysisState.REFUSED):
            best[place] = take
    return best


def _footage_rank(footage: Footage) -> int:
    if footage.state in USABLE:
        return 2
    return 1 if footage.state in PENDING else 0
