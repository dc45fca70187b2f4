"""Which tracker the environment asks for, and where the weights of ``face-alignment`` lie.

The package fetches its weights from its authors' host when it is first used. Here they are files like any other: in the
folder that the operator names or in torch's own cache, opened as weights alone, and fetched only where the operator has
allowed it.
"""

from __future__ import annotations

import functools
import hashlib
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

from rendering.engine.errors import EngineError

if TYPE_CHECKING:
    import torch

VARIABLE, FOLDER, DOWNLOAD = "TRACKER", "FACE_ALIGNMENT_WEIGHTS", "FACE_ALIGNMENT_DOWNLOAD"
BUNDLED, ALIGNMENT = "bundled", "face-alignment"
TRACKERS = (BUNDLED, ALIGNMENT)
HOST = "https://www.adrianbulat.com/downloads/python-fan/"
FINDER, READER = "s3fd-619a316812.pth", "2DFAN4-11f355bf06.pth.tar"
"""The detector and the landmarks, under the names that the package gives them. The digits begin their SHA-256."""
FILES = (FINDER, READER)
_UNREADABLE = (EOFError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, OSError)
_COUNTER = ".num_batches_tracked"


def asked() -> str:
    """The tracker that the environment names. Raises ``no_tracker``."""
    name = os.environ.get(VARIABLE, "") or BUNDLED
    if name not in TRACKERS:
        raise EngineError("no_tracker", f"{VARIABLE}={name}")
    return name


def folder() -> Path:
    """Where the weights are looked for: what the operator named, else torch's cache."""
    if named := os.environ.get(FOLDER, ""):
        return Path(named)
    cache = Path(os.environ.get("XDG_CACHE_HOME", "") or Path.home() / ".cache")
    return Path(os.environ.get("TORCH_HOME", "") or cache / "torch") / "hub" / "checkpoints"


def required() -> tuple[Path, Path]:
    """The detector's and the landmarks' file. Raises ``no_tracker_weights``; fetches what is missing where allowed."""
    paths = [folder() / name for name in FILES]
    for path in paths:
        if not path.is_file() and os.environ.get(DOWNLOAD) == "1":
            _fetch(path)
    if missing := [path for path in paths if not path.is_file()]:
        raise EngineError("no_tracker_weights", ", ".join(map(str, missing)))
    return paths[0], paths[1]


def _fetch(path: Path) -> None:
    from torch.hub import download_url_to_file

    begins = path.name.partition(".")[0].rpartition("-")[2]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        download_url_to_file(HOST + path.name, str(path), begins, progress=False)
    except (URLError, RuntimeError, TimeoutError) as error:  # a hash that differs is a RuntimeError
        raise EngineError("no_tracker_weights", f"{HOST}{path.name}: {error}"[:300]) from error


def identity() -> str:
    """What footage is followed with, for the analysis: empty for what every installation has, else the tracker's name
    and 16 digits of a hash of its weights. Raises ``no_tracker`` or ``no_tracker_weights``."""
    if asked() == BUNDLED:
        return ""
    return f"{ALIGNMENT}-" + _digest(*((path, path.stat().st_size, path.stat().st_mtime_ns) for path in required()))


@functools.lru_cache(maxsize=1)
def _digest(*files: tuple[Path, int, int]) -> str:
    whole = hashlib.sha256()
    for path, _, _ in files:
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()[:16]


def read(path: Path, net: torch.nn.Module) -> None:
    """Give ``net`` the weights in ``path``. Raises ``bad_tracker_weights``."""
    import torch

    wanted = net.state_dict()
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, *_UNREADABLE) as error:
        raise EngineError("bad_tracker_weights", f"{path.name}: {type(error).__name__}") from error
    if not isinstance(found, Mapping):
        raise EngineError("bad_tracker_weights", f"{path.name} holds a {type(found).__name__}")
    needed = {name for name in wanted if not name.endswith(_COUNTER)}
    if odd := sorted((needed - found.keys()) | (found.keys() - wanted.keys())):
        raise EngineError("bad_tracker_weights", f"{path.name}: {odd[0]}, one of {len(odd)} names that differ")
    for name in needed:
        tensor = found[name]
        if not isinstance(tensor, torch.Tensor) or tensor.shape != wanted[name].shape:
            raise EngineError("bad_tracker_weights", f"{path.name}: {name} is not {tuple(wanted[name].shape)}")
        if not bool(tensor.isfinite().all()):
            raise EngineError("bad_tracker_weights", f"{path.name}: {name} holds what is not a number")
    net.load_state_dict(dict(found), strict=False)
