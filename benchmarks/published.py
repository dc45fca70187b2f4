"""The published Wav2Lip pipeline's design, re-enacted to measure against. Own code; nothing of it is used elsewhere.

As it works: every frame is decoded into memory at once; the face detector (S3FD) looks at every frame in full size, in
batches of 16, each time anew, since nothing is kept of the last time; boxes are averaged over five frames; each face is
squeezed to 96 x 96 pixels and drawn in batches of 128; the answer is enlarged and pasted over the rectangle; the frames
go to a temporary MPEG-4 file by one thread; that is read again, encoded and joined with the sound. No stage begins
before the one before it has ended. Both networks run in torch's own precision, with TF32 where the card has it.

What differs, in its favour: the last encoding is the engine's (libx264 veryfast, or the card's encoder), and the sound
is heard by the engine's faster spectrogram. Without the detector's weights the network has random ones: it takes as
long and finds nothing, and the box is one that is given for all frames. On a processor it looks at
``looked_at`` frames, and its seconds are scaled to all of them: it takes several a frame.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from rendering.engine.alignment import weights
from rendering.engine.alignment.nets import MEAN, boxes
from rendering.engine.contract import Limits, RenderOptions
from rendering.engine.errors import EngineError
from rendering.engine.media.audio import read_audio
from rendering.engine.media.encode import VideoWriter
from rendering.engine.media.frames import read_frames
from rendering.engine.media.probe import probe_footage
from rendering.engine.wav2lip import mel

Array = np.ndarray[Any, Any]

DETECTED, DRAWN = 16, 128
"""Frames and faces in a batch."""
AVERAGED = 5
UNDER_CHIN = 10
"""Pixels."""
SIZE = 96
LOOKED_AT_ON_CPU = 2


@dataclass
class Run:
    """How it went."""

    frames: int
    looked_at: int
    """Frames that the detector was really given."""
    weights: str
    """Of the detector: "published" or "random"."""
    seconds: dict[str, float] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)
    """Of all threads."""

    @contextmanager
    def stage(self, name: str, scale: float = 1.0) -> Iterator[None]:
        wall, cpu = time.monotonic(), time.process_time()
        yield
        self.seconds[name] = round(scale * (time.monotonic() - wall), 3)
        self.cpu_s[name] = round(scale * (time.process_time() - cpu), 3)


def published(
    footage: Path,
    audio: Path,
    out: Path,
    *,
    frames: int,
    net: torch.nn.Module,
    where: torch.device,
    box: tuple[float, float, float, float],
    looked_at: int = 0,
) -> Run:
    """``frames`` frames of ``footage`` with the mouth of ``audio``, drawn by the Wav2Lip network ``net``.

    ``box``: the face, x y w h in 0..1, where the detector's weights are random. ``looked_at``: frames that it is given;
    0: all of them on a card, few on a processor. Holds all frames in memory, as the original does: 6 MB each at 1080p.
    """
    detector, real = _detector(where)
    run = Run(frames, looked_at or (frames if where.type == "cuda" else LOOKED_AT_ON_CPU), "random")
    run.weights = "published" if real else run.weights
    with run.stage("decode"):
        pictures = _all_pictures(footage, frames)
    run.looked_at = min(run.looked_at, len(pictures))
    looked = [pictures[k] for k in np.linspace(0, len(pictures) - 1, run.looked_at).astype(int)]
    with run.stage("detect", len(pictures) / run.looked_at):
        found = _look(detector, looked, where, real=real)
    height, width = pictures[0].shape[:2]
    left, top, wide, high = np.array(box) * np.array([width, height, width, height])
    faces = _boxes(found, np.array([left, top, left + wide, top + high]), len(pictures))
    with run.stage("listen"):
        heard = _heard(audio, footage, frames)
    with run.stage("draw"):
        drawn = _draw(net, pictures, faces, heard, where)
    temporary = out.with_suffix(".part.avi")
    with run.stage("paste and write"):
        _paste(pictures, faces, drawn, temporary, _rate(footage))
    with run.stage("join"):
        _join(temporary, footage, audio, out, frames)
    temporary.unlink()
    return run


def _detector(where: torch.device) -> tuple[torch.nn.Module, bool]:
    """S3FD, and whether its weights are the published ones."""
    from face_alignment.detection.sfd.net_s3fd import s3fd

    net, real = s3fd(), True
    try:
        weights.read(weights.required()[0], net)
    except EngineError:
        real = False
    return net.eval().requires_grad_(False).to(where), real


def _all_pictures(footage: Path, frames: int) -> list[Array]:
    film, pictures = cv2.VideoCapture(str(footage)), []
    while len(pictures) < frames:
        there, picture = film.read()
        if not there:
            break
        pictures.append(picture)
    film.release()
    return pictures


def _look(detector: torch.nn.Module, pictures: Sequence[Array], where: torch.device, *, real: bool) -> list[Array]:
    """The faces (k, 5) in each picture; none where the weights are random."""
    together = DETECTED if where.type == "cuda" else 1  # 16 of them would take 9 GB for each of the first layers

    def ask(some: slice) -> list[Array]:
        stacked = np.stack(pictures[some]).astype(np.float32) - MEAN
        answer = [one.cpu().numpy() for one in detector(torch.from_numpy(stacked.transpose(0, 3, 1, 2)).to(where))]
        return boxes(answer) if real else [np.zeros((0, 5))] * len(stacked)

    return _in_batches(ask, len(pictures), together)


def _boxes(found: Sequence[Array], otherwise: Array, count: int) -> Array:
    """(count, 4) int left, top, right, bottom: the best face of each frame, averaged over five, wider at the chin."""
    best = [faces[0, :4] for faces in found if len(faces)]
    if len(best) < count:
        best = [otherwise] * count
    raw = np.array(best, float)
    raw[:, 3] += UNDER_CHIN
    wide = np.pad(raw, ((0, AVERAGED - 1), (0, 0)), mode="edge")
    smooth = np.lib.stride_tricks.sliding_window_view(wide, AVERAGED, axis=0).mean(axis=-1)
    return np.maximum(smooth, 0).astype(int)


def _heard(audio: Path, footage: Path, frames: int) -> Array:
    _, video = probe_footage(footage, Limits())
    return mel.windows(mel.spectrogram(read_audio(audio, mel.RATE)), frames, float(video.fps))


def _draw(net: torch.nn.Module, pictures: list[Array], faces: Array, heard: Array, where: torch.device) -> list[Array]:
    """The faces (96, 96, 3) u8, one for each of ``heard`` (n, 80, 16)."""

    def ask(some: slice) -> list[Array]:
        places = [number % len(pictures) for number in range(*some.indices(len(heard)))]
        cut = [cv2.resize(_of(pictures[k], faces[k]), (SIZE, SIZE)) for k in places]
        reference = np.stack(cut).astype(np.float32).transpose(0, 3, 1, 2) / 255
        masked = reference.copy()
        masked[:, :, SIZE // 2 :] = 0
        given = (heard[some][:, None], np.concatenate([masked, reference], axis=1))
        answer = net(*(torch.from_numpy(np.ascontiguousarray(part)).to(where) for part in given))
        return list((255 * answer.cpu().numpy().transpose(0, 2, 3, 1)).astype(np.uint8))

    return _in_batches(ask, len(heard), DRAWN)


def _in_batches(ask: Callable[[slice], list[Array]], count: int, together: int) -> list[Array]:
    """What ``ask`` answers for all of ``count``; half as many at a time when the device has no memory for so many."""
    done: list[Array] = []
    with torch.inference_mode():
        while len(done) < count:
            try:
                done += ask(slice(len(done), min(count, len(done) + together)))
            except torch.OutOfMemoryError:
                if together == 1:
                    raise
                together //= 2
    return done


def _of(picture: Array, box: Array) -> Array:
    """A view of the rectangle."""
    left, top, right, bottom = box
    return picture[top:bottom, left:right]


def _rate(footage: Path) -> float:
    return float(probe_footage(footage, Limits())[1].fps)


def _paste(pictures: list[Array], faces: Array, drawn: list[Array], out: Path, fps: float) -> None:
    height, width = pictures[0].shape[:2]
    film = cv2.VideoWriter(str(out), cv2.VideoWriter_fourcc(*"DIVX"), fps, (width, height))
    for number, face in enumerate(drawn):
        place = number % len(pictures)
        picture = pictures[place].copy()
        under = _of(picture, faces[place])
        under[...] = cv2.resize(face, (under.shape[1], under.shape[0]))
        film.write(picture)
    film.release()


def _join(temporary: Path, footage: Path, audio: Path, out: Path, frames: int) -> None:
    info, video = probe_footage(temporary, Limits())
    _, wanted = probe_footage(footage, Limits())
    with VideoWriter(out, wanted, audio, RenderOptions(), frames / float(wanted.fps)) as writer:
        for frame in read_frames(temporary, info, stop=min(frames, video.frames)):
            writer.write(frame)
