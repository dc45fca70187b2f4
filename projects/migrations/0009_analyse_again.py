"""Analyses lay in folders of their own; now each is a stored file. What was analysed before is looked at once more."""

from __future__ import annotations

from typing import Any

from django.db import migrations


def wait_for_analysis(apps: Any, schema_editor: Any) -> None:
    usable = apps.get_model("projects", "Footage").objects.filter(analysis=None, state__in=["ready", "warnings"])
    usable.update(state="waiting", stage="", progress=0, attempts=0, analysed_at=None)


class Migration(migrations.Migration):
    dependencies = [("projects", "0008_stored_analysis")]
    operations = [migrations.RunPython(wait_for_analysis, migrations.RunPython.noop)]
