"""Generated presenters for the suite: what their mouths do, and which sounds they make when, is known."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rendering.engine.contract import Report, silent
from rendering.engine.demo import make_demo_footage
from rendering.engine.evaluate.clips import PHONES, Clip, suite_cache
from rendering.engine.voice.speak import Sentence, Speech, speak_many
from rendering.engine.voice.visemes import Phoneme

PAUSE_S = 0.9
"""Between two sentences: long enough for a mouth to come to rest and to be seen resting."""
_RATE = 48_000
_FILMED_BY = ("demo.py", "puppet.py", "voice/speak.py", "voice/visemes.py", "media/encode.py", "evaluate/generated.py")


@dataclass(frozen=True)
class Presenter:
    """A presenter to film. The sentences hold many p, b and m: a closure that is not asked for cannot be missed."""

    name: str
    language: str
    variant: str
    seed: int
    sentences: tuple[str, ...]


PRESENTERS = (
    Presenter(
        "generated_en",
        "en",
        "f2",
        1,
        (
            "Bob put the big map beside the pump.",
            "Mum and Pam may buy a pretty purple lamp.",
            "Please bring my umbrella before the boat comes back.",
            "People by the bay play music and bake apple bread.",
            "A simple job becomes a problem when nobody helps.",
        ),
    ),
    Presenter(
        "generated_zh",
        "zh",
        "m3",
        2,
        (
            "爸爸妈妈买了苹果和面包。",
            "明明不怕跑步,慢慢爬上了山坡。",
            "朋友们拍了很多漂亮的照片。",
            "我们把杯子摆在门旁边。",
            "白马比黑马跑得慢,可是不怕冷。",
        ),
    ),
)


def say(presenter: Presenter) -> Speech:
    """All sentences with pauses before, between and after them."""
    asked = [
        Sentence(text=text, language=presenter.language, variant=presenter.variant, words_per_minute=150)
        for text in presenter.sentences
    ]
    pause = np.zeros(round(PAUSE_S * _RATE), np.float32)
    audio, phonemes = [pause], [(0.0, PAUSE_S, "")]
    at = PAUSE_S
    for said in speak_many(asked, rate=_RATE):
        audio += [said.audio, pause]
        phonemes += [(at + start, at + end, sound) for start, end, sound in said.phonemes]
        at += said.duration_s
        phonemes.append((at, at + PAUSE_S, ""))
        at += PAUSE_S
    return Speech(np.concatenate(audio), _RATE, phonemes)


def film(presenter: Presenter, folder: Path, *, size: int = 512, report: Report = silent) -> Clip:
    """Film ``presenter`` into ``folder``: the video, and its sounds beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    video = folder / f"{presenter.name}.mp4"
    truth = make_demo_footage(video, size=size, seed=presenter.seed, said=say(presenter), report=report)
    write_phonemes(video.with_suffix(PHONES), truth.phonemes)
    return Clip(presenter.name, video)


def write_phonemes(path: Path, phonemes: list[Phoneme]) -> None:
    """Sounds as :func:`rendering.engine.evaluate.clips.read_phonemes` reads them."""
    path.write_text(json.dumps([[round(start, 4), round(end, 4), sound] for start, end, sound in phonemes]))


def generated_clips(*, report: Report = silent) -> list[Clip]:
    """Every presenter of :data:`PRESENTERS`, filmed once and kept as long as nothing changes that films them."""
    engine = Path(__file__).resolve().parents[1]
    code = hashlib.sha256(b"".join((engine / name).read_bytes() for name in _FILMED_BY)).hexdigest()[:16]
    folder = suite_cache() / f"generated-{code}"
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        for presenter in PRESENTERS:
            film(presenter, part, report=report)
        if folder.exists():
            shutil.rmtree(part)
        else:
            part.rename(folder)
    os.utime(folder)
    return [Clip(presenter.name, folder / f"{presenter.name}.mp4") for presenter in PRESENTERS]
