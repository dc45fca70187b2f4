"""The address of a cell on a board, as pages and services name it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class CellKey:
    """``presenter.script.language``, the first two as public ids. Known before the cell has a row of its own."""

    presenter: str
    script: str
    language: str

    @classmethod
    def parse(cls, text: str) -> CellKey:
        """Raises ``ValueError`` for what was never a key."""
        parts = text.split(".", 2)
        if len(parts) != 3 or not parts[0] or not parts[1]:
            raise ValueError(f"not the key of a cell: {text[:80]!r}")
        return cls(*parts)

    def __str__(self) -> str:
        return f"{self.presenter}.{self.script}.{self.language}"
