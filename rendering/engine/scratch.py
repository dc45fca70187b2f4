"""Temporary files that never outlive the work, and large arrays that stay in files."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

_held: set[Path] = set()
_lock = threading.Lock()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary sibling of ``path`` that takes its place when the block ends well, and vanishes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    with _lock:
        _held.add(part)
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
        with _lock:
            _held.discard(part)


class Rows:
    """Arrays of one shape, as many as come, in a file without a name instead of in memory."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  (the array that is mapped from it lives on)
        self._count = 0
        self._like: tuple[tuple[int, ...], np.dtype[Any]] | None = None

    def add(self, row: np.ndarray) -> None:
        like = (row.shape, row.dtype)
        if self._like not in (None, like):
            raise ValueError(f"{like} among rows of {self._like}")
        self._like = like
        self._file.write(np.ascontiguousarray(row).data)
        self._count += 1

    def array(self) -> np.ndarray:
        """All rows (n, ...), mapped from the file, which lives as long as the array does."""
        if self._like is None:
            raise ValueError("no rows")
        self._file.flush()
        shape, dtype = self._like
        return np.asarray(np.memmap(self._file, dtype, "r", shape=(self._count, *shape)))


def mapped(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Arrays of an uncompressed .npz that stay on disk until they are looked at. Raises KeyError for a missing one.

    They may start at any byte. The file must be replaced, never rewritten, while they live.
    """
    found = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for name in names:
            entry = archive.getinfo(f"{name}.npy")
            file.seek(entry.header_offset + 26)
            lengths = int.from_bytes(file.read(2), "little") + int.from_bytes(file.read(2), "little")
            file.seek(entry.header_offset + 30 + lengths)
            if entry.compress_type != zipfile.ZIP_STORED or np.lib.format.read_magic(file) != (1, 0):
                raise KeyError(name)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            found[name] = np.asarray(np.memmap(path, dtype, "r", file.tell(), shape))
    return found


def remove_all() -> None:
    """Remove every temporary file still held. Called by a process that is about to end at once."""
    # No lock: the thread that holds it may never run again.
    for part in list(_held):
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
