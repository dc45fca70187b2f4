"""Networks of mouth models on their device, kept from one render to the next."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

from rendering.engine import device
from rendering.engine.contract import ENGINE_VERSION, MOUTHS_NETWORK
from rendering.engine.errors import EngineError
from rendering.engine.neural import model
from rendering.engine.neural.crops import SIZES
from rendering.engine.neural.draw import Network
from rendering.engine.neural.net import MouthNet, reduction

FORM = 2
"""Of ``neural.pt``; another form is not read."""
KEPT = 8
"""Networks; each holds 11 or 20 MB, on its device."""


def read(folder: Path) -> dict[str, Any]:
    """What a training left as ``neural.pt``: ``form``, ``engine``, ``size`` and ``weights``. Raises
    ``stale_mouths``."""
    try:
        stored = torch.load(io.BytesIO((folder / MOUTHS_NETWORK).read_bytes()), map_location="cpu", weights_only=True)
    except (FileNotFoundError, RuntimeError, pickle.UnpicklingError) as error:
        raise EngineError("stale_mouths", f"{MOUTHS_NETWORK}: {type(error).__name__}") from error
    known = isinstance(stored, dict) and (stored.get("form"), stored.get("engine")) == (FORM, ENGINE_VERSION)
    if not known or stored.get("size") not in SIZES:
        raise EngineError("stale_mouths", f"{MOUTHS_NETWORK} of another form or engine")
    return dict(stored)


def load(folder: Path, where: torch.device, together: int | None = None) -> Network:
    """The network in ``folder`` on the device ``where``. Raises ``stale_mouths``."""
    stored = read(folder)
    net = MouthNet(reduction(stored["size"]))
    net.load_state_dict({name: value.float() for name, value in stored["weights"].items()})
    return Network(net, stored["size"], where, together, dull=model.read_said(folder).get("dull") is True)


class RecentNetworks:
    """The last few that drew, by their content: a model that was unpacked anew is still the same."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._loaded: OrderedDict[tuple[str, str], Network] = OrderedDict()

    def get(self, folder: Path) -> Network:
        """The network in ``folder``. Raises ``stale_mouths`` or ``device_error``."""
        where = device.chosen()
        key = model.identity(folder), str(where)
        network = self._loaded.pop(key, None) or load(folder, where)
        self._loaded[key] = network
        while len(self._loaded) > self._kept:
            self._loaded.popitem(last=False)
        return network

    def holds(self, identity: str) -> bool:
        """Whether the next :meth:`get` of the model of this identity finds it in memory."""
        return (identity, str(device.chosen())) in self._loaded

    def __len__(self) -> int:
        return len(self._loaded)


RECENT = RecentNetworks()
