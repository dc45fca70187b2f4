"""What keeps the disk from filling."""

from __future__ import annotations

import io
from datetime import timedelta

from django.core.management import call_command
from django.utils import timezone

from projects import tasks
from projects.models import MediaBlob
from tests import factories


def test_the_daily_task_and_the_command_remove_what_nothing_needs_and_say_so(team, presenter):
    old = timezone.now() - timedelta(days=2)
    for content in (b"first", b"second"):
        factories.footage(presenter, blob=factories.blob(team, b"kept"))
        MediaBlob.objects.filter(pk=factories.blob(team, content).pk).update(created_at=old)
    assert tasks.clean_media() == "Removed 0 partial files, 2 stored files and 0 folders of killed workers."
    written = io.StringIO()
    call_command("clean_media", stdout=written)
    assert written.getvalue().startswith("Removed 0 partial files, 0 stored files and 0 folders of killed workers.")
    assert MediaBlob.objects.count() == 2  # the footage and its analysis
