"""What the operator supplied is opened when the engine starts, and what cannot be used is not announced."""

from __future__ import annotations

from pathlib import Path

import pytest

from rendering.engine import supplied
from rendering.engine.backends import able
from tests.engine import checkpoints, restorers


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Path, Path]:
    """Files that the environment names as checkpoint and enhancer; nothing is in them yet."""
    checkpoint, enhancer = tmp_path / "wav2lip.pth", tmp_path / "enhancer.ts"
    monkeypatch.setenv("WAV2LIP_CHECKPOINT", str(checkpoint))
    monkeypatch.setenv("ENHANCER_MODEL", str(enhancer))
    monkeypatch.delenv("TRACKER", raising=False)
    return checkpoint, enhancer


def test_files_that_are_not_there_or_are_none_of_the_kind_are_told(named: tuple[Path, Path]) -> None:
    checkpoint, enhancer = named
    assert supplied.refused() == {"wav2lip": "no_checkpoint", "enhancer": "no_enhancer"}
    checkpoint.write_bytes(b"no checkpoint")
    enhancer.write_bytes(b"no model")
    refused = supplied.refused()
    assert refused == {"wav2lip": "bad_checkpoint", "enhancer": "bad_enhancer"}
    assert list(supplied.usable(able(), refused)) == ["exemplar", "neural"]


def test_one_bad_file_costs_only_what_needs_it(named: tuple[Path, Path]) -> None:
    checkpoint, enhancer = named
    checkpoints.random_weights(checkpoint)
    restorers.saved(restorers.Sharpen(1.0), enhancer)
    assert supplied.refused() == {}
    assert "wav2lip+enhancer" in supplied.usable(able(), {})
    enhancer.write_bytes(b"no model")
    usable = supplied.usable(able(), supplied.refused())
    assert "wav2lip" in usable
    assert not [name for name in usable if "enhancer" in name]


def test_a_tracker_without_its_weights_or_of_no_known_name_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FACE_ALIGNMENT_WEIGHTS", str(tmp_path))
    for name, code in (("bundled", None), ("face-alignment", "no_tracker_weights"), ("eyes", "no_tracker")):
        monkeypatch.setenv("TRACKER", name)
        assert supplied.refused().get("tracker") == code
