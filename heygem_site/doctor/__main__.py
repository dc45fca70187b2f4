"""Every check in turn. Ends with 1 when something does not work, with 0 when everything does or only wants a look."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict

from heygem_site.doctor.findings import BAD, Finding

Check = Callable[[], Finding | Iterable[Finding]]


def checks() -> dict[str, Check]:
    """By name, in the order in which one thing stands on another."""
    from heygem_site.doctor import house, machine, storage

    return {
        "python": machine.python_is_right,
        "packages": machine.packages_match_the_lock,
        "settings": house.settings_fit,
        "database": house.database_answers,
        "migrations": house.database_is_current,
        "clocks": house.clocks_agree,
        "storage": storage.storage_works,
        "shared storage": storage.storage_is_shared,
        "browsers": storage.browsers_reach_the_bucket,
        "disk": machine.disks_have_room,
        "engine": machine.engine_starts,
        "device": machine.device_is_there,
        "models": machine.models_load,
        "checkpoint": machine.checkpoint_loads,
        "enhancer": machine.enhancer_loads,
        "tracker": machine.tracker_loads,
        "workers": house.workers_are_heard,
        "tickets": house.tickets_are_taken,
    }


def examine(asked: Iterable[str] = ()) -> Iterable[tuple[str, Finding]]:
    """The findings of every check, or of those ``asked`` for, with the check's name."""
    known = checks()
    for name in asked or known:
        found = known[name]()
        for finding in [found] if isinstance(found, Finding) else found:
            yield name, finding


def _say(name: str, finding: Finding, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"check": name, **asdict(finding)}, ensure_ascii=False), flush=True)
        return
    print(f"{finding.level:<5} {finding.what}", flush=True)
    if finding.remedy:
        print(f"      -> {finding.remedy}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./heygem doctor", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one object a line: check, level, what, remedy")
    parser.add_argument(
        "--only", action="append", default=[], metavar="CHECK", help="this check alone; may be repeated"
    )
    options = parser.parse_args(argv)

    import django
    from django.core.exceptions import ImproperlyConfigured

    from heygem_site import secret_key

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "heygem_site.settings")
    secret_key.ensure()
    try:
        django.setup()
    except ImproperlyConfigured as reason:
        remedy = "Correct the environment (every setting: docs/architecture.md)."
        _say("settings", Finding(BAD, f"settings: {reason}", remedy), as_json=options.json)
        return 1
    logging.disable(logging.CRITICAL)  # what is wrong is said here, with its remedy
    if unknown := set(options.only) - set(checks()):
        parser.error(f"there is no check {', '.join(sorted(unknown))}; there are: {', '.join(checks())}")
    worst = 0
    for name, finding in examine(options.only):
        _say(name, finding, as_json=options.json)
        worst = max(worst, finding.level == BAD)
    return int(worst)


if __name__ == "__main__":
    sys.exit(main())
