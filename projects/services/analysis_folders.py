"""Where analyses lie on disk: ``analysis/<public id>/``, written elsewhere first and moved in whole."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from projects.models import Footage
from projects.services.blobs import media_root


def folder_of(footage: Footage) -> Path:
    return media_root() / footage.analysis_path


@contextmanager
def new_folder() -> Iterator[Path]:
    """An empty folder on the same disk, removed afterwards unless :func:`put_in_place` took it."""
    staging = media_root() / "analysis" / "staging"
    staging.mkdir(parents=True, exist_ok=True)
    around = Path(tempfile.mkdtemp(dir=staging))
    try:
        folder = around / "analysis"
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(around, ignore_errors=True)


def put_in_place(folder: Path, footage: Footage) -> None:
    """Make ``folder`` the footage's analysis. A render that has the old one's files open can go on reading them."""
    place = folder_of(footage)
    replaced = folder.with_name("replaced")
    if place.exists():
        place.rename(replaced)
    try:
        folder.rename(place)
    except OSError:
        if replaced.exists():
            replaced.rename(place)
        raise


def clean_folders(*, older_than: timedelta = timedelta(days=1)) -> int:
    """Remove analyses of footage that is gone, and what killed workers left half made. Returns how many."""
    root = media_root() / "analysis"
    folders = [path for place in (root, root / "staging") if place.is_dir() for path in place.iterdir()]
    known = set(Footage.objects.values_list("public_id", flat=True)) | {"staging"}
    removed = 0
    for folder in folders:
        unknown = folder.parent != root or folder.name not in known
        if unknown and time.time() - folder.stat().st_mtime > older_than.total_seconds():
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed
