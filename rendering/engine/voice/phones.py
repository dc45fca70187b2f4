"""Which sounds are spoken, by anybody: a phone recogniser that needs neither the text nor the language.

pocketsphinx's own acoustic model, context-independent phones under a phone trigram. It was made for English; other
languages come out as the nearest English sounds, which is near enough to see a mouth by.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np

from rendering.engine.voice import senones
from rendering.engine.voice.features import HOP_S, RATE
from rendering.engine.voice.pauses import activity
from rendering.engine.voice.visemes import Phoneme

IPA: dict[str, str] = {
    "SIL": "", "AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "aʊ", "AY": "aɪ", "B": "b", "CH": "tʃ", "D": "d",
    "DH": "ð", "EH": "ɛ", "ER": "ɚ", "EY": "eɪ", "F": "f", "G": "ɡ", "HH": "h", "IH": "ɪ", "IY": "i", "JH": "dʒ",
    "K": "k", "L": "l", "M": "m", "N": "n", "NG": "ŋ", "OW": "oʊ", "OY": "ɔɪ", "P": "p", "R": "ɹ", "S": "s",
    "SH": "ʃ", "T": "t", "TH": "θ", "UH": "ʊ", "UW": "u", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip
"""The recogniser's names, in the order of the columns of ``Phones.soft``, and what they sound like."""
COLUMNS = {name: column for column, name in enumerate(IPA)}

_LONGEST_S = 30.0
"""A piece decoded at a time; cut in the quietest place, so that an hour of sound needs no more memory than this."""
_WEIGHTS = {"lw": 2.0, "pip": 0.3}
"""Of the phone trigram and of a new phone."""
_KEPT = 3


@dataclass(frozen=True, eq=False)
class Phones:
    """What was heard. ``events`` cover the whole sound in order: (start_s, end_s, IPA, "" for silence).

    ``soft`` (T, 40) float32 at 100 Hz, rows sum to 1: how much each sound of ``IPA`` was heard in that frame.
    It says how sure the recogniser is, and is what to learn from; ``events`` are for who needs one name.
    """

    events: tuple[Phoneme, ...]
    soft: np.ndarray


_heard: OrderedDict[bytes, Phones] = OrderedDict()
_lock = Lock()


def recognise(audio16k: np.ndarray) -> Phones:
    """``audio16k`` (n,) float32 mono at 16 kHz -> what is spoken in it. Some 4 s of CPU per minute of sound.

    Deterministic. Asked twice for one sound, a process answers from memory (the last three sounds).
    """
    audio = np.ascontiguousarray(audio16k, np.float32)
    if audio.ndim != 1:
        raise ValueError(f"mono sound expected, got shape {audio.shape}")
    key = hashlib.blake2b(audio.data, digest_size=16).digest()
    with _lock:
        if key in _heard:
            _heard.move_to_end(key)
            return _heard[key]
        found = _recognise(audio)
        _heard[key] = found
        while len(_heard) > _KEPT:
            _heard.popitem(last=False)
    return found


def _recognise(audio: np.ndarray) -> Phones:
    frames = len(audio) // round(HOP_S * RATE) + 1
    soft = np.zeros((frames, len(IPA)), np.float32)
    peak = float(np.abs(audio).max(initial=0))
    if peak < 1e-4 or len(audio) < RATE // 10:
        soft[:, COLUMNS["SIL"]] = 1
        return Phones(((0.0, len(audio) / RATE, ""),), soft)
    events: list[Phoneme] = []
    sounds = senones.sound_of_states(_model())
    for start, end in pieces(audio):
        pcm = (audio[start:end] * (0.8 * 32767 / peak)).astype("<i2").tobytes()
        first, last = start // round(HOP_S * RATE), min(end // round(HOP_S * RATE) + 1, frames)
        segments, scores = _decode(pcm)
        for name, begin, stop in segments:
            inside = first + begin, min(first + stop, frames)
            events.append((inside[0] * HOP_S, inside[1] * HOP_S, IPA.get(name, "")))
        soft[first:last] = senones.shares(scores, sounds, COLUMNS, last - first)
    return Phones(tuple(events), soft)


def _model() -> Path:
    from pocketsphinx import get_model_path

    return Path(get_model_path("en-us/en-us"))


def _decode(pcm: bytes) -> tuple[list[tuple[str, int, int]], np.ndarray]:
    """(name, first frame, frame after the last) of each sound, and the score of every acoustic state per frame."""
    from pocketsphinx import Decoder, get_model_path

    with tempfile.TemporaryDirectory(prefix="heygem-phones-") as log:
        # A new one for each piece: a decoder's noise estimate would carry one sound over into the next.
        decoder = Decoder(
            hmm=str(_model()),
            allphone=get_model_path("en-us/en-us-phone.lm.bin"),
            loglevel="FATAL",
            beam=1e-20,
            pbeam=1e-20,
            compallsen=True,
            senlogdir=log,
            **_WEIGHTS,
        )
        decoder.start_utt()
        decoder.process_raw(pcm, full_utt=True)
        decoder.end_utt()
        segments = [(found.word, found.start_frame, found.end_frame + 1) for found in decoder.seg() or ()]
        del decoder  # closes the log
        (path,) = Path(log).iterdir()
        return segments, senones.read_log(path)


def pieces(audio: np.ndarray) -> list[tuple[int, int]]:
    """(first, end) samples of pieces of at most 30 s that together are the whole sound, cut where it is quietest."""
    hop = round(HOP_S * RATE)
    if len(audio) <= _LONGEST_S * RATE:
        return [(0, len(audio))]
    speaking = activity(audio)
    cuts = [0]
    while len(audio) - cuts[-1] > _LONGEST_S * RATE:
        begin, end = cuts[-1] + round(_LONGEST_S * RATE / 2), cuts[-1] + round(_LONGEST_S * RATE)
        cuts.append((begin // hop + int(speaking[begin // hop : end // hop].argmin())) * hop)
    return list(zip(cuts, [*cuts[1:], len(audio)], strict=True))
