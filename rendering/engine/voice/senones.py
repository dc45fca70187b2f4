"""How much each sound was heard in each moment, from the scores that the recogniser gives its acoustic states.

A decoder names one sound at a time and throws away how sure it was. Its acoustic model scores 5126 states (senones) per
frame, each of them part of one sound: the share of the sounds among them says more about the mouth than the name alone.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

_NATS = 0.1024
"""Of one unit of a logged score: base 1.0001, shifted by 10 bits."""
_FLATTEN = 0.15
"""Power of the likelihoods: a frame's 39 numbers are not independent of each other, nor of the next frame's."""
_CENTRE = 1.28
"""Frames: the recogniser's frame i begins, and ours is centred, at i hops; its window is 25.6 ms."""
_STATES = 3


@lru_cache(maxsize=2)
def sound_of_states(model: Path) -> tuple[str, ...]:
    """The name of the sound that each senone of the acoustic model in the folder ``model`` is part of.

    Reads ``mdef`` in its binary form: counts, names, a tree of contexts, the phones in context (state sequence,
    transitions, word position, sound, neighbours) and the state sequences.
    """
    data = (model / "mdef").read_bytes()
    if data[:4] != b"BMDF":
        raise ValueError(f"{model / 'mdef'} is not a binary model definition")
    place = 12 + struct.unpack_from("<i", data, 8)[0]
    sounds, phones, states, _, senones, _, sequences, _, tree, _ = struct.unpack_from("<10i", data, place)
    place += 40
    names = []
    for _ in range(sounds):
        end = data.index(b"\0", place)
        names.append(data[place:end].decode())
        place = end + 1
    place = (place + 3) // 4 * 4 + 8 * tree
    entry = np.dtype([("sequence", "<i4"), ("transitions", "<i4"), ("context", "u1", 4)])
    listed = np.frombuffer(data, entry, phones, place)
    place += entry.itemsize * phones + 4
    sequence = np.frombuffer(data, "<u2", sequences * states, place).reshape(sequences, states)
    sound = np.where(np.arange(phones) < sounds, np.arange(phones), listed["context"][:, 1])
    of_state = np.zeros(senones, int)
    of_state[sequence[listed["sequence"]]] = sound[:, None]
    return tuple(names[index] for index in of_state)


def read_log(path: Path) -> np.ndarray:
    """The scores that a decoder with ``senlogdir`` and ``compallsen`` left: (T, senones) float32 nats, best 0."""
    data = path.read_bytes()
    header, _, body = data.partition(b"endhdr\n")
    count = next(int(line.split()[1]) for line in header.split(b"\n") if line.startswith(b"n_sen"))
    rows = np.frombuffer(body, "<i2", offset=4).reshape(-1, count + 1)
    if not (rows[:, 0] == count).all():
        raise ValueError(f"{path} does not hold every senone of every frame")
    return rows[:, 1:].astype(np.float32) * -_NATS


def shares(scores: np.ndarray, sounds: tuple[str, ...], columns: Mapping[str, int], frames: int) -> np.ndarray:
    """``scores`` (T, senones) -> (frames, len(columns)) float32, rows sum to 1: the share of each sound.

    ``sounds``: :func:`sound_of_states`; what has no column (noise, breath) counts as ``columns["SIL"]``. Row i is
    centred on i hops.
    """
    likely = np.exp(_FLATTEN * scores)
    found = np.zeros((len(scores), len(columns)), np.float32)
    column_of = np.array([columns.get(name, columns["SIL"]) for name in sounds])
    for column in range(len(columns)):
        found[:, column] = likely[:, column_of == column].sum(1)
    found /= found.sum(1, keepdims=True)
    place = np.clip(np.arange(frames) - _CENTRE, 0, len(found) - 1)
    left = np.minimum(place.astype(int), max(len(found) - 2, 0))
    right, share = np.minimum(left + 1, len(found) - 1), (place - left)[:, None].astype(np.float32)
    result: np.ndarray = found[left] * (1 - share) + found[right] * share
    return result
