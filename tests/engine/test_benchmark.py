"""The engine's benchmark runs, at a size that takes seconds; what its figures are is nobody's promise here."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

import pytest

from benchmarks import engine
from rendering.engine.demo import write_wav
from rendering.engine.neural import learn
from rendering.engine.voice.speak import speak
from tests.engine.conftest import Filmed


@pytest.fixture(scope="module")
def told(filmed: Filmed, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The report, and what was printed."""
    folder = tmp_path_factory.mktemp("benchmark")
    said = speak("Hello.", "en", rate=16_000)
    write_wav(folder / "take.wav", said.audio, said.rate)
    words = ["--footage", filmed.video, "--audio", folder / "take.wav", "--takes", 0.5, "--published", 1]
    words += ["--train", 1, "--train-size", 128, "--json", folder / "figures.json"]
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setenv("ENGINE_DEVICE", "cpu")
        patch.setattr(learn, "LEAST_S", 4.0)  # six seconds are enough to see that it works
        engine.main([str(word) for word in words])
    return json.loads((folder / "figures.json").read_text()), printed.getvalue()


def test_every_back_end_draws_by_itself_beside_plain_decoding_and_encoding(told: tuple[dict[str, Any], str]) -> None:
    (scene,) = told[0]["scenes"]
    assert list(scene["made"]) == ["plain", *engine.BACKENDS]
    assert scene["frames"] == 12
    for name in engine.BACKENDS:
        made = scene["made"][name]
        assert (made["drawn_by"], made["instead"]) == (name, ""), "an untrained network is let through to be timed"
        assert made["ratio"].keys() == {"wall", "cpu"}
        assert made["busy_s"].keys() >= {"decode", "encode"}
        assert made["stages_s"].keys() >= {"listen", "compose", "check"}
        assert made["fps"] > 0


def test_the_published_design_is_taken_over_the_same_frames(told: tuple[dict[str, Any], str]) -> None:
    made = told[0]["scenes"][0]["published"]
    assert (made["frames"], made["looked_at"], made["weights"]) == (12, 1, "random")
    assert list(made["seconds"]) == ["decode", "detect", "listen", "draw", "paste and write", "join"]
    assert made["beaten_by"].keys() == set(engine.BACKENDS)


def test_training_tells_what_all_its_steps_would_take(told: tuple[dict[str, Any], str]) -> None:
    made = told[0]["training"]
    assert (made["size"], made["steps"]) == (128, 1)
    assert made["all_steps"] > 1
    for clock in ("wall", "cpu"):
        assert 1.1 * 60_000 * made[clock]["minutes"] + 6000 >= made[clock]["step_ms"] * made["all_steps"] > 0


def test_machine_and_figures_can_be_read(told: tuple[dict[str, Any], str]) -> None:
    report, printed = told
    assert report["machine"].keys() >= {"cpu", "cores", "cards", "device", "torch", "av", "engine"}
    assert report["scenes"][0]["codecs"] == {"decode": "software", "encode": "libx264"}
    for name in ("plain", *engine.BACKENDS, "published design", "Training a mouth model"):
        assert name in printed
