"""``python -m tests.rendering.remote``: does scenes on the site whose environment it has, asked by JSON lines."""

from __future__ import annotations

import json
import os
import sys

import django


def serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "heygem_site.settings")
    django.setup()
    from django.db import close_old_connections

    from tests.rendering import claim_scenes, disk_scenes, farm_scenes, scenes

    for line in sys.stdin:
        asked = json.loads(line)
        close_old_connections()
        rooms = [room for room in (scenes, farm_scenes, claim_scenes, disk_scenes) if hasattr(room, asked["scene"])]
        answer = getattr(rooms[0], asked["scene"])(**asked["args"])
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()
