"""Demo content and test footage with known truth: the puppet of :mod:`rendering.engine.puppet`, spoken by espeak-ng."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from scipy.ndimage import gaussian_filter1d

from rendering.engine.contract import Report, silent
from rendering.engine.media.encoders import x264_options
from rendering.engine.puppet import REST_WIDTH, Pose, Puppet
from rendering.engine.voice.speak import Speech, speak
from rendering.engine.voice.visemes import LEAD_S, Phoneme, closures, mouth

PRESENTER_NAME = "Eileen Collins (NASA portrait)"
OPENING_IO, WIDTH_IO = 0.27, 0.10
"""A wide open mouth, and how much rounding or spreading moves the corners, in IO (outer eye corners' distance)."""
_SPEECH_RATE = 48000
_INERTIA_S = 0.045
"""A jaw has mass: how far its movement is smoothed, so that it follows speech as slowly as living ones do."""
_LIPS_S = 0.025
"""How fast lips close and open around p, b and m."""

# Aesop, read aloud: nothing that could be taken for the astronaut's own words.
_READING = {
    "en": "The North Wind and the Sun were disputing which was the stronger, when a traveller came along wrapped in a "
    "warm cloak. They agreed that the one who first made the traveller take his cloak off should be considered "
    "stronger than the other. Then the North Wind blew as hard as he could, but the more he blew, the more closely did "
    "the traveller fold his cloak around him; and at last the North Wind gave up the attempt. Then the Sun shone out "
    "warmly, and immediately the traveller took off his cloak. And so the North Wind was obliged to confess that the "
    "Sun was the stronger of the two. ",
    "zh": "有一回,北风跟太阳在那儿争论谁的本事大。说着说着,来了一个过路的,身上穿了一件厚袍子。"
    "他们俩就商量好了,说谁能先叫这个过路的把他的袍子脱下来,就算是谁的本事大。"
    "北风就使劲吹起来,可是他越是吹得厉害,那个过路的就把袍子裹得越紧。"
    "到末了儿,北风没有法子,只好算了。一会儿,太阳出来一晒,那个过路的马上就把袍子脱了下来。"
    "所以北风不得不承认,还是太阳比他的本事大。",
}


@dataclass(frozen=True)
class Truth:
    """What the mouth really does in generated footage. ``opening``, ``width`` (frames,) float32 in IO."""

    opening: np.ndarray
    width: np.ndarray
    fps: float
    video: Path
    audio: Path | None
    """The same sound as a 48 kHz WAV beside the video; None when the footage is silent."""
    phonemes: list[Phoneme] = field(default_factory=list)


@dataclass(frozen=True)
class DemoScript:
    """A script of the demo project, spoken by a voice that the presenter's footage does not contain."""

    title: str
    language: str
    text: str
    variant: str
    words_per_minute: int


DEMO_SCRIPTS = (
    DemoScript(
        "Welcome",
        "en",
        "Hello, and welcome! Film a presenter once, bring a new voice, and the same face says the new words.",
        "f5",
        155,
    ),
    DemoScript(
        "欢迎", "zh-hans", "大家好，欢迎来到这里！画面只拍一次，换上新的声音，同一张脸就会说出新的话。", "f4", 165
    ),
)


def make_demo_takes(folder: Path) -> list[tuple[DemoScript, Path]]:
    """Speak the demo scripts into ``folder`` as WAV files ``welcome-en.wav``, ``welcome-zh-hans.wav``."""
    made = []
    for script in DEMO_SCRIPTS:
        manner = {"variant": script.variant, "words_per_minute": script.words_per_minute}
        said = speak(script.text, script.language, rate=_SPEECH_RATE, **manner)
        path = folder / f"welcome-{script.language}.wav"
        write_wav(path, said.audio, said.rate)
        made.append((script, path))
    return made


def make_demo_footage(
    out: Path,
    *,
    seconds: float = 20.0,
    size: int | tuple[int, int] = 512,
    seed: int = 0,
    language: str = "en",
    fps: int | Fraction = 25,
    variant: str = "f2",
    sound: bool = True,
    offset_ms: float = 0.0,
    said: Speech | None = None,
    report: Report = silent,
) -> Truth:
    """Film the puppet reading a fable: an MP4 at ``out`` (H.264, AAC) and its truth.

    ``size``: side of a square, or (width, height); even. ``variant``: espeak-ng voice variant. ``offset_ms``: sound
    behind picture, as a badly made upload has it. ``sound`` False leaves the sound track out (the mouth still speaks).
    ``said``: something else than the fable; ``seconds``, ``language`` and ``variant`` then do not matter.
    """
    width, height = (size, size) if isinstance(size, int) else size
    rate = Fraction(fps)
    if said is None:
        said = _reading(language, seconds, variant)
    else:
        seconds = said.duration_s
    times = np.arange(round(seconds * rate)) / float(rate)
    opening, widening = _speech_motion(said.phonemes, times)
    puppet = Puppet(width, height, seed=seed)
    poses = _poses(times, opening, widening, seed)
    audio = np.roll(np.pad(said.audio, (0, 2 * said.rate)), round(offset_ms / 1000 * said.rate))[: len(said.audio)]
    wav = None
    if sound:
        wav = out.with_suffix(".wav")
        write_wav(wav, audio, said.rate)
    frames = (puppet.draw(pose) for pose in poses)
    _write_video(out, frames, (width, height), rate, (audio, said.rate) if sound else None, len(times), report)
    truth_width = (REST_WIDTH + widening).astype(np.float32)
    return Truth(opening.astype(np.float32), truth_width, float(rate), out, wav, said.phonemes)


def _reading(language: str, seconds: float, variant: str) -> Speech:
    """The fable, said as often as needed and cut to ``seconds``, after a short breath."""
    text = _READING[language.split("-")[0]]
    said = speak(text, language, rate=_SPEECH_RATE, variant=variant, words_per_minute=140)
    breath = 0.3
    repeats = int(np.ceil(max(seconds - breath, 0.1) / (said.duration_s + breath)))
    pause = np.zeros(round(breath * said.rate), np.float32)
    audio = np.concatenate([part for _ in range(repeats) for part in (pause, said.audio)])
    length = round(seconds * said.rate)
    audio = np.pad(audio, (0, max(0, length - len(audio))))[:length]
    fade = min(length, said.rate // 20)
    audio[length - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    phonemes: list[Phoneme] = []
    for turn in range(repeats):
        at = turn * (said.duration_s + breath) + breath
        phonemes += [(at - breath, at, ""), *((at + start, at + end, name) for start, end, name in said.phonemes)]
    return Speech(audio, said.rate, [p for p in phonemes if p[0] < seconds])


def _speech_motion(phonemes: list[Phoneme], times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Opening and change of width, both (n,) in IO."""
    target = mouth(phonemes, times).astype(np.float64)
    inertia = _INERTIA_S * (len(times) - 1) / max(float(times[-1] - times[0]), 1e-6) if len(times) > 1 else 0.0
    opening = gaussian_filter1d(OPENING_IO * np.clip(target[:, 0], 0, 1.1), inertia)
    width = gaussian_filter1d(WIDTH_IO * np.clip(target[:, 1], -1.1, 1.1), inertia)
    for start, end in closures(phonemes):  # lips are quicker than the jaw, and they do meet
        away = np.maximum(np.abs(times + LEAD_S - (start + end) / 2) - (end - start) / 2, 0)
        opening *= 1 - np.exp(-0.5 * (away / _LIPS_S) ** 2)
    return opening, width


def _poses(times: np.ndarray, opening: np.ndarray, width: np.ndarray, seed: int) -> Iterator[Pose]:
    random = np.random.default_rng(seed)

    def sway(amount: float, slow: float, fast: float) -> np.ndarray:
        phases = random.uniform(0, 2 * np.pi, 3)
        waves = [
            np.sin(2 * np.pi * f * times + p) for f, p in zip((slow, fast, 0.5 * (slow + fast)), phases, strict=True)
        ]
        return amount * (0.55 * waves[0] + 0.2 * waves[1] + 0.25 * waves[2])

    x, y, roll = sway(2.6, 0.11, 0.37), sway(1.6, 0.17, 0.61), sway(0.022, 0.09, 0.29)
    yaw, pitch = sway(2.4, 0.13, 0.43), sway(1.5, 0.19, 0.53)
    blink = np.zeros(len(times))
    moment = random.uniform(0.8, 2.5)
    while len(times) and moment < times[-1]:
        blink = np.maximum(blink, np.clip(1.35 - np.abs(times - moment) / 0.09, 0, 1))
        moment += random.uniform(2.0, 4.5)
    for i in range(len(times)):
        yield Pose(opening[i], width[i], blink[i], x[i], y[i], roll[i], yaw[i], pitch[i])


def write_wav(path: Path, audio: np.ndarray, rate: int) -> None:
    """Write ``audio`` (n,) float -1..1 as 16-bit mono."""
    with wave.open(str(path), "wb") as sink:
        sink.setnchannels(1)
        sink.setsampwidth(2)
        sink.setframerate(rate)
        sink.writeframes((np.clip(audio, -1, 1) * 32767).astype("<i2").tobytes())


def _write_video(
    out: Path,
    frames: Iterator[np.ndarray],
    size: tuple[int, int],
    fps: Fraction,
    audio: tuple[np.ndarray, int] | None,
    total: int,
    report: Report,
) -> None:
    with av.open(str(out), "w", format="mp4", options={"movflags": "faststart"}) as container:
        video = container.add_stream("libx264", rate=fps, options=x264_options(size[0], crf=16, speed="veryfast"))
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        sound = container.add_stream("aac", rate=audio[1], layout="mono") if audio else None
        for index, picture in enumerate(frames):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
            if index % 10 == 0:
                report("demo", index, total)
        container.mux(video.encode(None))
        if audio and sound:
            samples, rate = np.ascontiguousarray(audio[0], np.float32), audio[1]
            for start in range(0, len(samples), 1024):
                block = av.AudioFrame.from_ndarray(
                    samples[None, start : start + 1024].astype(np.float32), "fltp", "mono"
                )
                block.sample_rate, block.pts, block.time_base = rate, start, Fraction(1, rate)
                container.mux(sound.encode(block))
            container.mux(sound.encode(None))
    report("demo", total, total)
