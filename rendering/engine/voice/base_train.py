"""Trains the base model from synthesised speech alone: no footage, no rights question, made again from one seed.

The speech, sentences, manners, spoiling and training follow the seed.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

from rendering.engine.contract import Report, silent
from rendering.engine.voice.base import FRAME_S, BaseModel, halve, hear
from rendering.engine.voice.base_texts import TEXTS, UNSPACED, VOICES
from rendering.engine.voice.features import DIMENSIONS, RATE
from rendering.engine.voice.speak import Sentence, Speech, speak_many
from rendering.engine.voice.visemes import PAUSE, closures, mouth

if TYPE_CHECKING:
    from rendering.engine.voice.base_net import BaseNet

REPLAY = Path(__file__).with_name("replay.npz")
"""Seventy seconds of the corpus in 8 bits: keeps a fine-tune from forgetting other voices."""
UNHEARD = (3, 11, 13)
"""Voices kept out of training, so that the figures are about voices never heard."""
_SEGMENT = 150
_REPLAY_SEGMENTS = 23
_REPLAY_SCALE = 32.0
_EMPHASIS = 1.5
"""Power applied to the opening: real mouths reserve a wide opening for few sounds."""
_LIPS_S = 0.04
"""Lips round and spread slower than the jaw opens."""
_JITTER = 0.3
"""sd of the noise on the mel bands while training, one value per band and, at half that, one per frame: synthetic
voices are far cleaner than real ones."""
_RULE_SHARE = np.array([0.5, 0.8])
"""The viseme rule's part of opening and width, the net has the rest: the rule learns from no synthetic voice."""

_CLOSURE_STEPS = 2.5
"""Times the base model's: with as few the net is sure of 76 of 100 closures of generated films, so of 90."""


@dataclass(frozen=True)
class Clip:
    """``heard`` (t, 83) and ``target`` (t, 2) float32 at 50 Hz; ``voice`` is its place in VOICES."""

    heard: np.ndarray
    target: np.ndarray
    closed: np.ndarray
    """(t,) bool: p, b or m is said."""
    voice: int


def _sentences(random: np.random.Generator, seconds: float) -> list[tuple[int, Sentence]]:
    """Requests for one voice after the other, those kept out of training first: whole sentences, and sentences with
    their words shuffled for more neighbours."""
    asked: list[tuple[int, Sentence]] = []
    voices = [*UNHEARD, *(voice for voice in range(len(VOICES)) if voice not in UNHEARD)]
    while seconds > 0:
        voice = voices[len(asked) % len(voices)]
        name, language, variant = VOICES[voice]
        text = " ".join(random.choice(np.array(TEXTS[language]), 2, replace=False))
        if random.random() < 0.5:
            words = list(text) if language in UNSPACED else text.split()
            text = ("" if language in UNSPACED else " ").join(random.permutation(np.array(words)))
        manner = {
            "words_per_minute": int(random.integers(120, 200)),
            "pitch": int(random.integers(30, 70)),
            "melody": int(random.integers(25, 75)),
        }
        asked.append((voice, Sentence(text=text, language=name, variant=variant, **manner)))
        seconds -= len(text) / (4.0 if language in UNSPACED | {"ko"} else 13.0)
    return asked


def spoil(audio: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A room, a microphone and some noise: (n,) float32 in and out."""
    from scipy.signal import fftconvolve

    out = audio
    if random.random() < 0.6:
        reach = random.uniform(0.08, 0.5)
        tail = np.arange(int(reach * RATE)) / RATE
        room = random.normal(0, 1, len(tail)) * np.exp(-6.9 * tail / reach)
        room[0] = 0
        room *= random.uniform(0.1, 0.6) / (np.linalg.norm(room) + 1e-9)
        room[0] = 1
        out = fftconvolve(out, room)[: len(audio)]
    if random.random() < 0.7:
        spectrum = np.fft.rfft(out)
        octaves = np.log2(np.fft.rfftfreq(len(out), 1 / RATE) / 60 + 1)
        knots = np.linspace(0, 7.2, 6)
        gain_db = np.interp(octaves, knots, random.normal(0, 5, 6))
        out = np.fft.irfft(spectrum * 10 ** (gain_db / 20), len(out))
    if random.random() < 0.8:
        colour = np.fft.rfft(random.normal(0, 1, len(out)))
        colour /= np.maximum(np.arange(len(colour)), 20) ** random.uniform(0, 0.6)
        noise = np.fft.irfft(colour, len(out))
        ratio_db = random.uniform(8, 45)
        out = out + noise * (out.std() / (noise.std() + 1e-9)) * 10 ** (-ratio_db / 20)
    return out.astype(np.float32)


def clip_of(speech: Speech, voice: int, random: np.random.Generator | None) -> Clip:
    """What is heard of ``speech`` (spoilt when ``random`` is given) and what the mouth does meanwhile."""
    audio = np.pad(speech.audio, (RATE // 5, RATE // 3))
    frames = halve(hear(spoil(audio, random) if random is not None else audio))
    times = (np.arange(len(frames)) + 0.25) * FRAME_S - 0.2
    target = mouth(speech.phonemes, times, rest=PAUSE)
    target[:, 0] = np.clip(target[:, 0], 0, None) ** _EMPHASIS
    target[:, 1] = gaussian_filter1d(target[:, 1], _LIPS_S / FRAME_S)
    closed = np.zeros(len(times), bool)
    for start, end in closures(speech.phonemes):
        closed |= (times >= start) & (times <= end)
    return Clip(frames, target, closed, voice)


def make_corpus(seed: int, minutes: float, report: Report = silent) -> tuple[list[Clip], float]:
    """Synthesise about ``minutes`` of speech: the clips, and the minutes really made."""
    random = np.random.default_rng(seed)
    asked = _sentences(random, 60 * minutes)
    clips, spoken = [], 0.0
    for start in range(0, len(asked), 32):
        part = asked[start : start + 32]
        for (voice, _), speech in zip(part, speak_many([sentence for _, sentence in part]), strict=True):
            spoken += speech.duration_s
            clips.append(clip_of(speech, voice, random))
        report("speak", min(start + 32, len(asked)), len(asked))
    return clips, spoken / 60


def _scaled(clips: list[Clip]) -> list[Clip]:
    """Targets brought to mean 0 and sd 1 over the corpus."""
    targets = np.concatenate([clip.target for clip in clips])
    mean, deviation = targets.mean(0), targets.std(0)
    return [replace(clip, target=((clip.target - mean) / deviation).astype(np.float32)) for clip in clips]


def segments(clips: list[Clip], count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """``count`` random pieces of 3 s: heard (count, 83, 150) and target (count, 2, 150)."""
    long = [clip for clip in clips if len(clip.heard) > _SEGMENT]
    heard, target = [], []
    for index in random.integers(0, len(long), count):
        clip = long[index]
        start = int(random.integers(0, len(clip.heard) - _SEGMENT))
        heard.append(clip.heard[start : start + _SEGMENT].T)
        target.append(clip.target[start : start + _SEGMENT].T)
    return np.stack(heard), np.stack(target)


def _train(clips: list[Clip], steps: int, random: np.random.Generator, report: Report) -> BaseNet:
    import torch

    from rendering.engine.voice.base_net import BaseNet

    net = BaseNet()
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=3e-3, total_steps=steps)
    for step in range(steps):
        heard, target = (torch.from_numpy(part) for part in segments(clips, 24, random))
        mel = heard[:, :DIMENSIONS]
        noise = torch.randn(*mel.shape[:2], 1) + 0.5 * torch.randn_like(mel)
        heard = torch.cat([mel + _JITTER * noise, heard[:, DIMENSIONS:]], 1)
        loss = torch.nn.functional.mse_loss(net(heard), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 20 == 0:
            report("train", step, steps)
    report("train", steps, steps)
    return net.eval()


def _with_rule(model: BaseModel, clips: list[Clip]) -> BaseModel:
    """``model``, a net alone, and the viseme rule added in its share; mean 0 and sd 1 over ``clips``."""
    net = np.concatenate([model.forward(clip.heard) for clip in clips])
    rule = np.concatenate([clip.heard[:, -2:] for clip in clips])
    of_net, of_rule = (1 - _RULE_SHARE) / net.std(0), _RULE_SHARE / rule.std(0)
    spread = (net * of_net + rule * of_rule).std(0)
    of_net, of_rule = of_net / spread, of_rule / spread
    weights = dict(model.weights)
    weights["out.w"] = weights["out.w"] * of_net[:, None]
    weights["out.b"] = (weights["out.b"] - net.mean(0)) * of_net - rule.mean(0) * of_rule
    weights["rule"] = of_rule
    return BaseModel({name: value.astype(np.float32) for name, value in weights.items()})


def train_base(
    out: Path, *, seed: int = 7, minutes: float = 26.0, steps: int = 600, report: Report = silent
) -> dict[str, float | int | str]:
    """Train and write ``base.npz``, ``closures.npz``, ``base.json`` and ``replay.npz`` into the folder ``out``; returns
    the figures."""
    from rendering.engine.voice.base_net import repeatable
    from rendering.engine.voice.closures_train import train_closures

    began = time.monotonic()
    clips, spoken = make_corpus(seed, minutes, report)
    clips = _scaled(clips)
    kept, tested = ([clip for clip in clips if (clip.voice in UNHEARD) == wanted] for wanted in (False, True))
    random = np.random.default_rng(seed + 1)
    with repeatable(seed):
        net = _train(kept, steps, random, report)
    model = _with_rule(net.to_model(), kept)
    answers = np.concatenate([model.forward(clip.heard) for clip in tested])
    truth = np.concatenate([clip.target for clip in tested])
    scores = [float(np.corrcoef(answers[:, column], truth[:, column])[0, 1]) for column in range(2)]
    figures: dict[str, float | int | str] = {
        "seed": seed,
        "voices": len(VOICES),
        "languages": len(TEXTS),
        "minutes": round(spoken, 1),
        "steps": steps,
        "parameters": sum(value.size for value in model.weights.values()),
        "r_opening_unheard_voices": round(scores[0], 3),
        "r_width_unheard_voices": round(scores[1], 3),
    }
    out.mkdir(parents=True, exist_ok=True)
    figures |= train_closures(clips, out, seed=seed, steps=round(_CLOSURE_STEPS * steps))
    figures["seconds"] = round(time.monotonic() - began, 1)
    model.save(out / "base.npz")
    heard, target = segments(clips, _REPLAY_SEGMENTS, random)
    packed = [np.clip(np.round(part * _REPLAY_SCALE), -127, 127).astype(np.int8) for part in (heard, target)]
    np.savez_compressed(out / "replay.npz", heard=packed[0], target=packed[1])
    (out / "base.json").write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def load_replay() -> tuple[np.ndarray, np.ndarray]:
    """The committed pieces of synthesised speech: heard (23, 83, 150), target (23, 2, 150), float32."""
    with np.load(REPLAY, allow_pickle=False) as stored:
        return tuple(stored[name].astype(np.float32) / _REPLAY_SCALE for name in ("heard", "target"))
