"""The operator's checkpoint: where it lies, which one it is, and whether it may and can be opened.

A checkpoint is a pickle, and a pickle can run code: only tensors and plain containers are read from it
(``torch.load(weights_only=True)``); whatever asks for more is refused unopened.
"""

from __future__ import annotations

import functools
import hashlib
import os
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rendering.engine.errors import EngineError

if TYPE_CHECKING:
    import torch

    from rendering.engine.wav2lip.net import Wav2Lip

VARIABLE = "WAV2LIP_CHECKPOINT"
"""Names the file."""
MOST_BYTES = 2 << 30
"""Published ones have 436 MB, two thirds of which the optimiser used."""
WRAPPED_IN = "state_dict"
PREFIX = "module."
COUNTER = ".num_batches_tracked"
"""Counts training steps; older checkpoints have none, and nothing depends on it."""
# What damaged or foreign bytes make torch raise, from the file's beginning to the last tensor.
_UNREADABLE = (EOFError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, OSError)

_MORE_THAN_WEIGHTS = re.compile(r"GLOBAL (?P<what>[\w.]{1,200})|Can only (?:create new object|build)|call reduce")
"""In what torch says of a pickle that wants to import or make something."""


def configured() -> Path | None:
    """The file that the environment names, if it is there."""
    path = Path(os.environ.get(VARIABLE, ""))
    return path if path.is_file() else None


def required() -> Path:
    """The same. Raises ``no_checkpoint``."""
    path = configured()
    if path is None:
        raise EngineError("no_checkpoint", f"{VARIABLE}={os.environ.get(VARIABLE, '')}")
    return path


def identity(path: Path) -> str:
    """The first 16 hex digits of the file's SHA-256. Read once for as long as the file stays as it is."""
    return _identity(path, *_stamp(path))


@dataclass(frozen=True, eq=False)
class Loaded:
    net: Wav2Lip
    """In evaluation mode, float32, on its device."""
    identity: str


def load(path: Path, device: torch.device) -> Loaded:
    """The network with the checkpoint's weights, kept from one call to the next.

    Raises ``unsafe_checkpoint`` or ``bad_checkpoint``.
    """
    return _load(path, device, *_stamp(path))


def check(path: Path) -> None:
    """Read it and let go of it again. Raises as :func:`load` does."""
    read_weights(path, _empty().state_dict())


def _empty() -> Wav2Lip:
    import torch

    from rendering.engine.wav2lip.net import Wav2Lip

    with torch.device("meta"):
        return Wav2Lip()


def _stamp(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


@functools.lru_cache(maxsize=1)
def _identity(path: Path, *_stamp: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


@functools.lru_cache(maxsize=1)
def _load(path: Path, device: torch.device, *_stamp: int) -> Loaded:
    net = _empty()
    net.load_state_dict(read_weights(path, net.state_dict()), assign=True)
    net.requires_grad_(False)
    return Loaded(net.eval().to(device), identity(path))


def read_weights(path: Path, wanted: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The checkpoint's tensors under the names and in the shapes of ``wanted``, float32 on the processor.

    Raises ``unsafe_checkpoint``: it holds other things than weights; ``bad_checkpoint``: it cannot be read, or its
    names, shapes or numbers are not those of the architecture.
    """
    found = _tensors(path)
    optional = {name for name in wanted if name.endswith(COUNTER)}
    if missing := sorted(wanted.keys() - found.keys() - optional):
        raise EngineError("bad_checkpoint", f"{len(missing)} names are missing, such as {missing[0]}")
    if strange := sorted(found.keys() - wanted.keys()):
        raise EngineError("bad_checkpoint", f"{len(strange)} names are unknown, such as {strange[0]}")
    weights = {name: wanted[name].new_zeros((), device="cpu") for name in optional}
    for name in wanted.keys() - optional:
        tensor, shape = found[name], tuple(wanted[name].shape)
        if tuple(tensor.shape) != shape:
            raise EngineError("bad_checkpoint", f"{name} is {tuple(tensor.shape)}, not {shape}")
        if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
            raise EngineError("bad_checkpoint", f"{name} holds what is not a number")
        weights[name] = tensor.float().contiguous()
    return weights


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    """By name, out of whatever training wrapped them in."""
    import torch

    if path.stat().st_size > MOST_BYTES:
        raise EngineError("bad_checkpoint", f"{path.stat().st_size} bytes")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own words advise to open the file all the same, so they are not passed on.
        asked = _MORE_THAN_WEIGHTS.search(str(error))
        if asked is None:
            raise EngineError("bad_checkpoint", "no pickle of weights") from error
        raise EngineError("unsafe_checkpoint", f"asks for {asked['what'] or 'objects of its own'}") from error
    except _UNREADABLE as error:
        raise EngineError("bad_checkpoint", f"{type(error).__name__}: {error}"[:300]) from error
    if isinstance(content, Mapping) and isinstance(content.get(WRAPPED_IN), Mapping):
        content = content[WRAPPED_IN]
    if not isinstance(content, Mapping):
        raise EngineError("bad_checkpoint", f"a {type(content).__name__} instead of named weights")
    if odd := [name for name, value in content.items() if not isinstance(value, torch.Tensor)]:
        raise EngineError("bad_checkpoint", f"{str(odd[0])[:80]} is no tensor")
    return {str(name).removeprefix(PREFIX): value for name, value in content.items()}
