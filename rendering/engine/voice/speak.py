"""Offline speech with phoneme and word times, by espeak-ng.

espeak-ng is GPL-3, so it lives in a process of its own: ``python -m rendering.engine.voice.speak`` reads requests as
JSON lines and answers each with one JSON line (times of phonemes and words) followed by raw 16-bit PCM.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

from rendering.engine.errors import EngineError

VOICES = {"en": "en-us", "zh": "cmn", "zh-hans": "cmn", "zh-cn": "cmn", "zh-tw": "cmn", "zh-hk": "yue"}
"""Language tags whose espeak-ng voice has another name; any other tag is tried as it is, then without its region."""

_TIMEOUT_S = 120.0
_SEED = 1


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """What to say and how."""

    text: str
    language: str = "en"
    """BCP 47 tag or the name of an espeak-ng voice."""
    variant: str = "f2"
    """An espeak-ng voice variant: m1..m8, f1..f5 and friends; empty for the plain voice."""
    words_per_minute: int = 160
    """80..450."""
    pitch: int = 50
    """0..100."""
    melody: int = 50
    """Range of the pitch, 0 (flat) .. 100."""


@dataclass(frozen=True)
class Speech:
    """Speech with its times. ``audio`` (n,) float32 mono -1..1 at ``rate`` Hz.

    ``phonemes``: (start_s, end_s, IPA; "" for silence), without gaps. ``words``: (start_s, end_s, word as written).
    """

    audio: np.ndarray
    rate: int
    phonemes: list[tuple[float, float, str]] = field(default_factory=list)
    words: list[tuple[float, float, str]] = field(default_factory=list)

    @property
    def duration_s(self) -> float:
        return len(self.audio) / self.rate


def speak(text: str, language: str = "en", *, rate: int = 16000, **manner: Any) -> Speech:
    """Say ``text``; ``manner`` as in :class:`Sentence`. Raises ``EngineError("no_voice")`` when nothing can be said."""
    return speak_many([Sentence(text=text, language=language, **manner)], rate=rate)[0]


def speak_many(sentences: Sequence[Sentence], *, rate: int = 16000) -> list[Speech]:
    """Say each of ``sentences`` in one espeak-ng process, resampled to ``rate`` Hz."""
    if not all(sentence.text.strip() for sentence in sentences):
        raise EngineError("no_voice", "there is nothing to say in the text")
    root = str(Path(__file__).resolve().parents[3])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
    asked = "".join(json.dumps(asdict(sentence)) + "\n" for sentence in sentences)
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "rendering.engine.voice.speak"],
            input=asked.encode(),
            capture_output=True,
            env=environment,
            timeout=_TIMEOUT_S + 2 * len(sentences),
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise EngineError("engine_crashed", "espeak-ng did not answer in time") from late
    if answer.returncode != 0:
        raise EngineError("engine_crashed", answer.stderr.decode(errors="replace")[-2000:])
    return [_read_answer(text, rate) for text in _split_answers(answer.stdout)]


def _split_answers(stream: bytes) -> list[tuple[dict[str, Any], bytes]]:
    found, at = [], 0
    while at < len(stream):
        line_end = stream.index(b"\n", at)
        head = json.loads(stream[at:line_end])
        at = line_end + 1 + 2 * head["samples"]
        found.append((head, stream[line_end + 1 : at]))
    return found


def _read_answer(answer: tuple[dict[str, Any], bytes], rate: int) -> Speech:
    import numpy as np
    import soxr

    head, pcm = answer
    if head["error"]:
        raise EngineError("no_voice", head["error"])
    audio = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
    if head["rate"] != rate:
        audio = soxr.resample(audio, head["rate"], rate).astype(np.float32)
    phonemes = [(start, end, name) for start, end, name in head["phonemes"]]
    words = [(start, end, name) for start, end, name in head["words"]]
    return Speech(audio, rate, phonemes, words)


# --- The espeak-ng process: standard library only from here on -------------------------------------------------------


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """``espeak_EVENT`` of speak_lib.h."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_END_OF_LIST, _WORD, _PHONEME = 0, 1, 7
_SYNCHRONOUS, _PHONEME_EVENTS_IPA, _UTF8 = 2, 3, 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class _Espeak:
    """The library, loaded once."""

    def __init__(self) -> None:
        import espeakng_loader

        self.library = ctypes.CDLL(espeakng_loader.get_library_path())
        folder = str(Path(espeakng_loader.get_data_path()).parent).encode()
        self.rate = self.library.espeak_Initialize(_SYNCHRONOUS, 0, folder, _PHONEME_EVENTS_IPA)
        if self.rate <= 0:
            raise OSError("espeak-ng could not be started")
        self.pcm: list[bytes] = []
        self.events: list[tuple[int, int, str]] = []
        self.words: list[tuple[int, int, int]] = []
        self.callback = _CALLBACK(self._heard)  # kept: the library holds a bare pointer to it
        self.library.espeak_SetSynthCallback(self.callback)

    def _heard(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self.pcm.append(ctypes.string_at(samples, 2 * count))
        at = 0
        while events[at].type != _END_OF_LIST:
            event = events[at]
            if event.type == _PHONEME:
                self.events.append((event.sample, 0, event.id.string.decode("utf-8", "ignore")))
            elif event.type == _WORD:
                self.words.append((event.sample, event.text_position, event.length))
            at += 1
        return 0

    def choose_voice(self, language: str, variant: str) -> bool:
        tag = language.lower()
        suffix = f"+{variant}" if variant else ""
        for name in (VOICES.get(tag, tag), tag.split("-")[0]):
            name = VOICES.get(name, name)
            if self.library.espeak_SetVoiceByName((name + suffix).encode()) == 0:
                return True
        return False

    def say(self, sentence: Sentence) -> tuple[dict[str, Any], bytes]:
        self.pcm, self.events, self.words = [], [], []
        # Breath is noise, which the library draws from the time of day: the same words shall always sound the same.
        self.library.espeak_ng_SetRandSeed(ctypes.c_long(_SEED))
        failed = {"error": "", "samples": 0, "rate": self.rate, "phonemes": [], "words": []}
        if not self.choose_voice(sentence.language, sentence.variant):
            return {**failed, "error": f"no voice for {sentence.language}"}, b""
        self.library.espeak_SetParameter(_RATE, sentence.words_per_minute, 0)
        self.library.espeak_SetParameter(_PITCH, sentence.pitch, 0)
        self.library.espeak_SetParameter(_RANGE, sentence.melody, 0)
        text = sentence.text.encode()
        self.library.espeak_Synth(text, len(text) + 1, 0, 1, 0, _UTF8, None, None)
        pcm = b"".join(self.pcm)
        if not pcm:
            return {**failed, "error": "nothing to say in the text"}, b""
        return {**failed, "samples": len(pcm) // 2, **self._times(sentence.text, len(pcm) // 2)}, pcm

    def _times(self, text: str, total: int) -> dict[str, Any]:
        starts = [min(start, total) for start, _, _ in self.events] + [total]
        phonemes = [
            (starts[i] / self.rate, starts[i + 1] / self.rate, name.strip())
            for i, (_, _, name) in enumerate(self.events)
            if starts[i + 1] > starts[i]
        ]
        ends = [start for start, _, _ in self.words[1:]] + [total]
        words = [
            (start / self.rate, end / self.rate, text[place - 1 : place - 1 + length])
            for (start, place, length), end in zip(self.words, ends, strict=True)
        ]
        return {"phonemes": phonemes, "words": words}


def answer_requests(source: IO[str], sink: IO[bytes]) -> None:
    """Serve requests until ``source`` ends."""
    espeak = _Espeak()
    for line in source:
        head, pcm = espeak.say(Sentence(**json.loads(line)))
        sink.write(json.dumps(head).encode() + b"\n" + pcm)
        sink.flush()


if __name__ == "__main__":
    answer_requests(sys.stdin, sys.stdout.buffer)
