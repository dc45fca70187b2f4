"""The devices that the tests here run on: the processor everywhere, with little work, and a card where there is one."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import torch

from tests.engine.conftest import filmed
from tests.engine.test_alignment import random_weights

__all__ = ["filmed", "random_weights"]

CPU = torch.device("cpu")
ON_CARD = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=ON_CARD)])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """One after the other; the environment names it too."""
    monkeypatch.setenv("ENGINE_DEVICE", request.param)
    yield torch.device(request.param)
    if request.param == "cuda":
        gc.collect()
        torch.cuda.empty_cache()


def is_card(where: torch.device) -> bool:
    return where.type == "cuda"
