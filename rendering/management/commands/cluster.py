from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django_q.conf import Conf

from rendering import workers


class Command(BaseCommand):
    help = "Run a cluster: 'worker' analyses, packs and keeps house, 'gpu' renders. Stop it with SIGTERM or Ctrl-C."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", choices=workers.CLUSTERS)

    def handle(self, *, name: str, **_options: Any) -> None:
        if name != Conf.CLUSTER_NAME:  # django-q2 reads its configuration once, while it is imported
            os.environ["Q_CLUSTER_NAME"] = name
            os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606 - this very command
        from rendering.execution.cluster import Cluster  # django-q2 must know its name first

        Cluster().run()
