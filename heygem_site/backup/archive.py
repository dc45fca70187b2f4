"""The tar: written once from front to back, and read only after all of it was found whole."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from heygem_site.backup import BackupError

ABOUT, MANIFEST, LISTING = "about.json", "manifest.json", "media.jsonl.gz"
FORMAT = 1
CUT_OFF = "The file ends before it should: the backup was not finished, or not copied whole. Nothing was changed."
PIECE = 1 << 20
"""Bytes read at a time."""

Hear = Callable[[int], None]
"""Called with the bytes that are done."""


class _Measured(io.RawIOBase):
    """What is read through it is hashed and counted."""

    def __init__(self, pieces: Iterator[bytes], hear: Hear) -> None:
        self.pieces, self.hear = pieces, hear
        self.digest, self.size, self.rest = hashlib.sha256(), 0, b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while len(self.rest) < size and (piece := next(self.pieces, b"")):
            self.rest += piece
        given, self.rest = self.rest[:size], self.rest[size:]
        self.digest.update(given)
        self.size += len(given)
        self.hear(self.size)
        return given


class Writer:
    """Entries one after the other; :meth:`close` writes the manifest, without which the file does not count."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._tar = tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT, bufsize=PIECE)  # noqa: SIM115
        self._files: dict[str, dict[str, Any]] = {}

    def add(self, name: str, size: int, pieces: Iterator[bytes], hear: Hear = lambda _done: None) -> str:
        """An entry of ``size`` bytes. Returns its SHA-256; raises ``OSError`` when the pieces are fewer."""
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = size, int(time.time()), 0o600
        source = _Measured(pieces, hear)
        self._tar.addfile(info, source)
        sha256 = source.digest.hexdigest()
        self._files[name] = {"sha256": sha256, "size": size}
        return sha256

    def add_file(self, name: str, path: Path) -> None:
        with path.open("rb") as file:
            self.add(name, path.stat().st_size, iter(lambda: file.read(PIECE), b""))

    def add_json(self, name: str, value: object) -> None:
        content = json.dumps(value, indent=1, ensure_ascii=False).encode()
        self.add(name, len(content), iter([content]))

    def close(self, **more: object) -> None:
        content = json.dumps({"format": FORMAT, **more, "files": self._files}, ensure_ascii=False).encode()
        self.add(MANIFEST, len(content), iter([content]))
        self._tar.close()


class Reader:
    """A backup whose every byte was checked against its manifest. Raises :class:`BackupError`."""

    def __init__(self, path: Path, hear: Hear = lambda _done: None) -> None:
        try:
            self._tar = tarfile.open(path, "r:")  # noqa: SIM115 - open as long as we are
        except FileNotFoundError:
            raise BackupError(f"There is no file {path}.") from None
        except (tarfile.TarError, OSError) as error:
            raise BackupError(f"{path} is not a backup of HeyGem: {error}.") from None
        try:
            self.about = self._read_about(path)
            self.manifest = self._verify(hear)
        except BaseException:
            self._tar.close()
            raise

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._tar.close()

    def _read_about(self, path: Path) -> dict[str, Any]:
        try:
            first = self._tar.next()
            if first is None or first.name != ABOUT:
                raise BackupError(f"{path} is not a backup of HeyGem: it does not begin with {ABOUT}.")
            about: dict[str, Any] = json.load(self._content(first))
        except (tarfile.TarError, ValueError, OSError, EOFError):
            raise BackupError(f"{path} is damaged at its very beginning.") from None
        if about.get("format") != FORMAT:
            raise BackupError(f"{path} has the format {about.get('format')}, which this version does not know.")
        return about

    def _verify(self, hear: Hear) -> dict[str, Any]:
        found: dict[str, dict[str, Any]] = {}
        try:
            for member in self._tar:
                found[member.name] = self._measure(member, hear)
        except (tarfile.TarError, OSError, EOFError):
            raise BackupError(CUT_OFF) from None
        if MANIFEST not in found:
            raise BackupError(CUT_OFF)
        try:
            manifest: dict[str, Any] = json.load(self.open(MANIFEST))
            wanted: dict[str, dict[str, Any]] = manifest["files"]
        except (ValueError, KeyError):
            raise BackupError("The backup is damaged: its manifest cannot be read.") from None
        del found[MANIFEST]
        wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        if wrong:
            more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            raise BackupError(f"The backup is damaged: {wrong[0]}{more} is not what was written. Nothing was changed.")
        return manifest

    def _measure(self, member: tarfile.TarInfo, hear: Hear) -> dict[str, Any]:
        digest, size = hashlib.sha256(), 0
        file = self._tar.extractfile(member)
        while file is not None and (piece := file.read(PIECE)):
            digest.update(piece)
            size += len(piece)
            hear(member.offset_data + size)
        if size != member.size:
            raise EOFError
        return {"sha256": digest.hexdigest(), "size": size}

    def names(self, folder: str) -> list[str]:
        return [name for name in self._tar.getnames() if name.startswith(f"{folder}/")]

    def open(self, name: str) -> IO[bytes]:
        """Raises ``KeyError`` for what is not in it."""
        return self._content(self._tar.getmember(name))

    def _content(self, member: tarfile.TarInfo) -> IO[bytes]:
        file = self._tar.extractfile(member)
        if file is None:
            raise KeyError(member.name)
        return file
