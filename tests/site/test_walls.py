"""The import contracts cover every module there is: a new one is inside the walls, or this fails."""

from __future__ import annotations

import pkgutil
import tomllib
from pathlib import Path

import pytest

import rendering

CONTRACTS = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text())["tool"]["importlinter"]
INSIDE = {"engine", "execution", "migrations"}
"""May use the engine, are it, or hold nothing but tables."""


@pytest.mark.parametrize(
    "name", ["only rendering.execution starts the engine", "heavy libraries stay inside the engine"]
)
def test_every_module_of_rendering_is_named_in_the_contract(name: str) -> None:
    (contract,) = (contract for contract in CONTRACTS["contracts"] if contract["name"] == name)
    there = {f"rendering.{module.name}" for module in pkgutil.iter_modules(rendering.__path__)} - {
        f"rendering.{module}" for module in INSIDE
    }
    assert there - set(contract["source_modules"]) == set()
