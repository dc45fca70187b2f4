"""The acoustic model inside pocketsphinx's wheel, read and evaluated with numpy: how well each sound fits each moment.

Its own decoder names one best phone at a time; here every phone keeps its probability, at a fraction of the time.
The files' layouts are those of Huggins-Daines et al., PocketSphinx, ICASSP 2006.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

STATES = 3
_DENSITIES = 128
_FLATTENED = 0.3
"""Power applied to the chances of English sequences."""
_BLOCK = 2000
"""Frames evaluated at a time."""
_THREADS = 2
"""A render waits for what is heard with nothing else to do yet."""
_STEP_NATS = 1024 * np.log(1.0001)
"""One step of the stored mixture weights, which are rounded logarithms."""


@dataclass(frozen=True, eq=False)
class AcousticModel:
    """Semi-tied Gaussian mixtures of 42 phones in 3 states over 3 streams of 13 numbers (cepstra and two slopes).

    ``names``: the phones, ARPAbet. ``linear`` (42, 3, 26, 128) and ``constant`` (42, 3, 128): log densities from
    (x*x, x). ``mixtures``: per phone (3, 128, s), the mixture weights of its s tied states, ``share`` (s, 3) how many
    of the phone's triphones use each in their first, second and third state. ``stay`` (42, 3): chance to remain in a
    state. ``follows`` (42, 42): chance that the phone of a row is followed by that of a column.
    """

    names: tuple[str, ...]
    linear: np.ndarray
    constant: np.ndarray
    mixtures: tuple[np.ndarray, ...]
    share: tuple[np.ndarray, ...]
    stay: np.ndarray
    follows: np.ndarray

    def likelihood(self, streams: np.ndarray) -> np.ndarray:
        """``streams`` (T, 3, 13) -> (T, 42, 3) float32: log-likelihood of each state of each phone, any context."""
        found = np.empty((len(streams), len(self.names), STATES), np.float32)
        for start in range(0, len(streams), _BLOCK):
            block = streams[start : start + _BLOCK]
            terms = np.concatenate([block**2, block], 2).astype(np.float32)
            into = found[start : start + _BLOCK]
            with ThreadPoolExecutor(_THREADS) as pool:
                for _ in pool.map(partial(self._score, terms, into), range(len(self.names))):
                    pass
        return found

    def _score(self, terms: np.ndarray, into: np.ndarray, phone: int) -> None:
        """Fill ``into`` (T, 42, 3) for one phone, from ``terms`` (T, 3, 26)."""
        total: np.ndarray | float = 1.0
        level: np.ndarray | float = 0.0
        for stream in range(3):
            density = terms[:, stream] @ self.linear[phone, stream] + self.constant[phone, stream]
            highest = density.max(1, keepdims=True)
            total = total * (np.exp(density - highest) @ self.mixtures[phone][stream])
            level = level + highest
        into[:, phone] = np.log(total @ self.share[phone] + 1e-37) + level


@lru_cache(maxsize=1)
def load_acoustic_model() -> AcousticModel:
    """The US English model of pocketsphinx 5.1.1 (BSD), about 10 MB in memory."""
    from pocketsphinx import get_model_path

    folder = Path(get_model_path("en-us/en-us"))
    mean = _table(folder / "means", 7)
    precision = 1 / np.maximum(_table(folder / "variances", 7), 1e-4)
    linear = np.concatenate([-0.5 * precision, mean * precision], 3)
    constant = -0.5 * (mean**2 * precision + np.log(2 * np.pi / precision)).sum(3)
    moves = _table(folder / "transition_matrices", 4)
    moves = moves / moves.sum(2, keepdims=True)
    names, base, tied = _definition(folder / "mdef")
    stored = np.fromfile(folder / "sendump", np.uint8)
    states = int(tied.max()) + 1
    weights = np.exp(-_STEP_NATS * stored[-3 * _DENSITIES * states :].reshape(3, _DENSITIES, states)).astype(np.float32)
    mixtures, shares = [], []
    for phone in range(len(names)):
        own = tied[base == phone]
        used = np.unique(own)
        share = np.stack([(own[:, state, None] == used).mean(0) for state in range(STATES)], 1)
        mixtures.append(np.ascontiguousarray(weights[:, :, used]))
        shares.append(share.astype(np.float32))
    return AcousticModel(
        names=names,
        linear=np.ascontiguousarray(linear.swapaxes(2, 3), np.float32),
        constant=constant.astype(np.float32),
        mixtures=tuple(mixtures),
        share=tuple(shares),
        stay=moves[:, range(STATES), range(STATES)].astype(np.float64),
        follows=_follows(names, get_model_path("en-us/en-us-phone.lm.bin")),
    )


def _table(path: Path, counts: int) -> np.ndarray:
    """A parameter file: text up to "endhdr", a byte-order mark, ``counts`` int32 of which the last is the number of
    the float32 that follow. Given in three or, with the length of a stream, four dimensions."""
    raw = path.read_bytes()
    start = raw.index(b"endhdr\n") + 7 + 4
    sizes = [int(size) for size in np.frombuffer(raw, "<i4", counts, start)]
    values = np.frombuffer(raw, "<f4", sizes[-1], start + 4 * counts)
    return values.reshape(sizes[:3] if counts == 4 else [*sizes[:3], sizes[3]])


def _definition(path: Path) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Names of the phones; of each phone and triphone which phone it is (n,) and its tied states (n, 3)."""
    raw = path.read_bytes()
    begin = 12 + int(np.frombuffer(raw, "<i4", 1, 8)[0])
    sizes = [int(size) for size in np.frombuffer(raw, "<i4", 10, begin)]
    phones, triphones, sequences, tree = sizes[0], sizes[1], sizes[6], sizes[8]
    begin += 40
    names = raw[begin:].split(b"\0", phones)[:phones]
    length = sum(len(name) + 1 for name in names)
    begin += -(-length // 4) * 4 + 8 * tree
    entry = np.dtype([("sequence", "<i4"), ("moves", "<i4"), ("kind", "i1", 4)])
    entries = np.frombuffer(raw, entry, triphones, begin)
    begin += entry.itemsize * triphones + 4
    tied = np.frombuffer(raw, "<u2", sequences * STATES, begin).reshape(-1, STATES)[entries["sequence"]]
    base = np.where(np.arange(triphones) < phones, np.arange(triphones), entries["kind"][:, 1])
    return tuple(name.decode() for name in names), base, tied


def _follows(names: tuple[str, ...], path: str) -> np.ndarray:
    """Which phone follows which in English, from the model's phone trigram, much flattened: other languages too."""
    from pocketsphinx import Config, LogMath, NGramModel

    model = NGramModel(Config(), LogMath(), path)
    chance = np.array([[1.0001 ** max(model.prob([after, name]), -150000) for after in names] for name in names])
    noise = np.array([name.startswith("+") for name in names])
    chance[noise] = 1 / len(names)
    chance[:, noise] = np.minimum(chance[:, noise], 1e-12)
    flat = chance**_FLATTENED
    return np.asarray(flat / flat.sum(1, keepdims=True))
