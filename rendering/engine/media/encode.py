"""Writing the deliverable: H.264 and AAC in an MP4 that starts playing before it is whole."""

from __future__ import annotations

import queue
import threading
import time
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np

from rendering.engine import scratch
from rendering.engine.contract import Limits, RenderOptions
from rendering.engine.media import encoders
from rendering.engine.media.audio import require_audio, resampled, sound_blocks
from rendering.engine.media.frame import Frame, stamp
from rendering.engine.media.probe import MediaInfo, VideoInfo, probe

QUEUED_FRAMES = 6
AAC_RATES = (44_100, 48_000)
AAC_FRAME = 1024
AUDIO_BITS_PER_CHANNEL = 96_000
TARGET_LUFS = -16.0
PEAK_LIMIT_DBFS = -1.0


class VideoWriter:
    """Takes frames in order and writes them beside the caller, in a thread of its own.

    Use as a context manager: the file appears under its name when the block ends well, and not at all otherwise.
    """

    def __init__(
        self,
        out: Path,
        info: VideoInfo,
        audio_path: Path | None,
        options: RenderOptions,
        duration_s: float,
        *,
        audio_info: MediaInfo | None = None,
    ) -> None:
        """``duration_s`` sets the number of frames that must come: ``round(duration_s * fps)``."""
        self.info, self.options = info, options
        self.frames = max(1, round(duration_s * float(info.fps)))
        self.written = 0
        self.busy_s = 0.0
        """Seconds in which the encoder had something to do."""
        self.encoder = ""
        """What encodes, once it has begun."""
        self._audio = (
            None if audio_path is None else _Sound(audio_path, audio_info or probe(audio_path, Limits()), options)
        )
        self._waiting: queue.Queue[Frame | None] = queue.Queue(QUEUED_FRAMES)
        self._error: BaseException | None = None
        self._abandoned = False
        self._files = ExitStack()
        self._part = self._files.enter_context(scratch.replacing(out))
        self._thread = threading.Thread(target=self._run, daemon=True, name="encode")
        self._thread.start()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._abandoned = error is not None
        self._put(None)
        self._thread.join()
        # An error inside the block wins over the encoder's, which would only be its consequence.
        if error is None and self._error is None and self.written != self.frames:
            self._error = ValueError(f"{self.written} frames written, {self.frames} promised")
        failure = error or self._error
        self._files.__exit__(type(failure) if failure else None, failure, trace)
        if error is None and self._error is not None:
            raise self._error

    def write(self, frame: Frame) -> None:
        """Queue the next frame; the writer owns its planes from now on."""
        if self._error is not None:
            raise self._error
        self.written += 1
        self._put(frame)

    def _put(self, item: Frame | None) -> None:
        while self._thread.is_alive():
            try:
                self._waiting.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def _run(self) -> None:
        try:
            self._encode()
        except BaseException as error:  # noqa: BLE001 - raised again where the caller can see it
            self._error = error

    def _encode(self) -> None:
        with encoders.begun(self._part, self.info, self.options, self.frames) as (container, encoder):
            self.encoder = encoder.name
            sound = self._audio.start(container) if self._audio is not None else None
            number = 0
            while (frame := self._waiting.get()) is not None:
                began = time.monotonic()
                container.mux(encoder.encode(stamp(frame, self.info, number)))
                number += 1
                if sound is not None:
                    sound.encode_until(container, encoder.reached / float(self.info.fps))
                self.busy_s += time.monotonic() - began
            if self._abandoned:  # nobody will see what is still to be encoded
                return
            container.mux(encoder.encode(None))
            if sound is not None:
                sound.finish(container)


class _Sound:
    """The take on its way into the file: resampled if AAC players would not like its rate, cut into AAC frames."""

    def __init__(self, path: Path, info: MediaInfo, options: RenderOptions) -> None:
        audio = require_audio(info)
        self.rate = audio.rate if audio.rate in AAC_RATES else AAC_RATES[1]
        self.channels = min(2, audio.channels)
        self.gain = loudness_gain(path, info) if options.normalize_loudness else 1.0
        self.blocks = resampled(sound_blocks(path, info), audio.rate, self.rate)
        self.rest = np.zeros((0, self.channels), np.float32)
        self.position = 0
        self.ended = False

    def start(self, container: av.container.OutputContainer) -> _Sound:
        layout = "mono" if self.channels == 1 else "stereo"
        self.stream: Any = container.add_stream("aac", rate=self.rate, layout=layout)
        self.stream.bit_rate = AUDIO_BITS_PER_CHANNEL * self.channels
        self.stream.time_base = Fraction(1, self.rate)
        return self

    def encode_until(self, container: av.container.OutputContainer, seconds: float) -> None:
        while not self.ended and self.position < seconds * self.rate:
            self._encode_one(container)

    def finish(self, container: av.container.OutputContainer) -> None:
        while not self.ended:
            self._encode_one(container)
        container.mux(self.stream.encode(None))

    def _encode_one(self, container: av.container.OutputContainer) -> None:
        while len(self.rest) < AAC_FRAME:
            block = next(self.blocks, None)
            if block is None:
                self.ended = True
                break
            self.rest = np.concatenate([self.rest, block])
        samples, self.rest = self.rest[:AAC_FRAME], self.rest[AAC_FRAME:]
        if len(samples) == 0:
            return
        planar = np.ascontiguousarray(np.clip(samples * self.gain, -1, 1).T, np.float32)
        frame = av.AudioFrame.from_ndarray(planar, format="fltp", layout=self.stream.layout.name)
        frame.sample_rate = self.rate
        # Without a time of its own the first frame would land one AAC frame late.
        frame.pts, frame.time_base = self.position, Fraction(1, self.rate)
        self.position += len(samples)
        container.mux(self.stream.encode(frame))


def loudness_gain(path: Path, info: MediaInfo) -> float:
    """The factor that brings a take to -16 LUFS without its peak passing -1 dBFS."""
    from rendering.engine.media.loudness import LoudnessMeter  # SciPy's filters take half a second to load

    meter = LoudnessMeter(require_audio(info).rate)
    peak = 1e-6
    for block in sound_blocks(path, info):
        meter.add(block)
        peak = max(peak, float(np.abs(block).max()))
    wanted = TARGET_LUFS - meter.integrated()
    return float(10 ** (min(wanted, PEAK_LIMIT_DBFS - 20 * np.log10(peak)) / 20))
