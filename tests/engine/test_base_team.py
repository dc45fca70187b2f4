"""A team's own base model: it is kept when it understands people it never met better, and never in the way."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rendering.engine.contract import ENGINE_VERSION
from rendering.engine.errors import EngineError
from rendering.engine.voice import lessons as lessons_module
from rendering.engine.voice.base import FIGURES as SHIPPED_FIGURES
from rendering.engine.voice.base import FRAME_S, HEARD, load_base
from rendering.engine.voice.base_team import FIGURES, WEIGHTS, follow, read_team_base, train_team_base
from rendering.engine.voice.features import DIMENSIONS, RATE
from rendering.engine.voice.learn import learn, without_drift
from rendering.engine.voice.lessons import Lesson, lesson_of, lessons_by_presenter, load_lesson, why_none
from rendering.engine.voice.speak import speak
from rendering.engine.voice.visemes import mouth
from tests.engine.test_voice_learn import FPS, STORY, lips_of

SECONDS = 25


def lesson(seed: int, *, honest: bool = True, seconds: float = SECONDS) -> Lesson:
    """Somebody whose mouth follows two bands of the sound, as all of these people's do; not ``honest``: nothing."""
    random = np.random.default_rng(seed)
    frames = round(seconds / FRAME_S)
    heard = np.cumsum(random.normal(size=(frames + 8, HEARD)), axis=0).astype(np.float32)
    heard = heard[8:] - heard[:-8]
    heard /= heard.std(0)
    heard[:, DIMENSIONS:] *= 0.05  # neither the recogniser nor the viseme rule makes anything of what they say
    source = heard[:, [5, 20]] if honest else np.roll(heard[::-1, [5, 20]], 300, axis=0)
    shape = 0.1 + 0.04 * source + 0.02 * random.normal(size=(frames, 2))
    known = np.ones(frames, bool)
    known[:30] = False
    return Lesson(heard, np.where(known[:, None], shape, 0).astype(np.float32), known, seconds)


def library(*, honest: bool = True) -> dict[str, list[Lesson]]:
    return {name: [lesson(seed, honest=honest)] for seed, name in enumerate(("ann", "ben", "cleo"))}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("team")
    assert train_team_base(library(), folder, steps=50)["kept"]
    return folder


def test_what_presenters_have_in_common_is_learnt_for_one_who_was_never_met(trained: Path) -> None:
    told = json.loads((trained / FIGURES).read_text())
    assert told["opening_after"] > told["opening_before"] + 0.2
    assert (told["presenters"], told["speech_s"], told["better_for"]) == (3, 3 * SECONDS, 3)
    model, identity = read_team_base(trained) or pytest.fail("no base")
    stranger = [lesson(99)]
    assert follow(model, stranger).opening > follow(load_base(), stranger).opening + 0.2
    assert len(identity) == 16


def test_its_answers_spread_as_the_shipped_ones_do(trained: Path) -> None:
    model, _ = read_team_base(trained) or pytest.fail("no base")
    heard = np.concatenate([one.heard[one.known] for (one,) in library().values()])
    assert model.forward(heard).std(0) == pytest.approx(load_base().forward(heard).std(0), rel=0.1)


def test_the_same_footage_teaches_the_same(trained: Path, tmp_path: Path) -> None:
    train_team_base(library(), tmp_path, steps=50)
    assert (tmp_path / WEIGHTS).read_bytes() == (trained / WEIGHTS).read_bytes()


def test_mouths_that_do_not_follow_the_sound_teach_nothing_and_leave_what_was_there(trained: Path) -> None:
    before = read_team_base(trained)
    figures = train_team_base(library(honest=False), trained, steps=50)
    assert not figures["kept"]
    assert figures["gain"] < figures["least_gain"]
    assert before is not None
    assert (read_team_base(trained) or ("", ""))[1] == before[1]


@pytest.mark.parametrize("names", [("ann", "ben"), ("ann", "ben", "cleo")])
def test_too_few_presenters_or_seconds_are_refused(names: tuple[str, ...], tmp_path: Path) -> None:
    seconds = 40 if len(names) == 2 else 15
    with pytest.raises(EngineError) as caught:
        train_team_base({name: [lesson(1, seconds=seconds)] for name in names}, tmp_path)
    assert caught.value.code == "base_too_little"


@pytest.mark.parametrize("fault", ["missing", "damaged", "cut", "older engine", "of another kind"])
def test_a_base_that_cannot_be_used_leaves_the_work_to_the_shipped_one(
    fault: str, trained: Path, tmp_path: Path
) -> None:
    weights = (trained / WEIGHTS).read_bytes()
    if fault != "missing":
        (tmp_path / WEIGHTS).write_bytes({"damaged": b"no zip", "cut": weights[:5000]}.get(fault, weights))
        engine = "0.1" if fault == "older engine" else ENGINE_VERSION
        (tmp_path / FIGURES).write_text(json.dumps({"engine": engine}))
    if fault == "of another kind":
        (tmp_path / FIGURES).write_bytes(SHIPPED_FIGURES.read_bytes())
    assert read_team_base(tmp_path) is None


def test_a_clip_teaches_with_its_offset_taken_out_and_only_if_the_sound_is_its_own(tmp_path: Path) -> None:
    said = speak(STORY, "en", words_per_minute=150)
    times = np.arange(int(said.duration_s * FPS)) / FPS
    shape = mouth(said.phonemes, times) * [0.2, 0.08] + [0.03, 0.6]
    ok = np.ones(len(shape), bool)
    late = np.pad(said.audio, (round(0.1 * RATE), 0))
    unheard = learn(shape, lips_of(shape), ok, FPS, None)
    voice = replace(unheard, offset_ms=100.0, trust=1.0, speech_s=said.duration_s)
    taught = lesson_of(shape, ok, FPS, late, voice)
    assert taught is not None
    clock = np.arange(len(taught.heard)) * FRAME_S - 0.1
    truth = without_drift(mouth(said.phonemes, clock)[:, :1], taught.known, 1 / FRAME_S)[:, 0]
    assert np.corrcoef(taught.shape[taught.known, 0], truth[taught.known])[0, 1] > 0.95
    taught.save(tmp_path / "lesson.npz")
    assert (tmp_path / "lesson.npz").stat().st_size < 6000 * said.duration_s
    again = lessons_by_presenter([("ann", tmp_path / "lesson.npz"), ("ben", tmp_path / "none.npz")])
    assert list(again) == ["ann"]
    assert np.allclose(again["ann"][0].target, taught.target, atol=0.02)
    for reason, other in (
        ("dubbed", replace(voice, trust=0.3)),
        ("silent", replace(voice, speech_s=2.0)),
        ("still", replace(voice, opening_range=0.02)),
    ):
        assert why_none(other, has_audio=True) == reason
        assert lesson_of(shape, ok, FPS, late, other) is None
    assert lesson_of(shape, ok, FPS, None, voice) is None


def test_a_lesson_of_another_version_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lessons_module, "ENGINE_VERSION", "0.1")
    lesson(1).save(tmp_path / "lesson.npz")
    monkeypatch.undo()
    assert load_lesson(tmp_path / "lesson.npz") is None
