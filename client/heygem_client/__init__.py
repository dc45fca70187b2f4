"""HeyGem from Python. ``HeyGem(url, token)`` is the site; ``heygem_client.answers`` is what it answers."""

from heygem_client.client import HeyGem
from heygem_client.errors import (
    Broken,
    Conflict,
    Damaged,
    HeyGemError,
    Invalid,
    NotAllowed,
    NotFound,
    Problem,
    Refused,
    SignedOut,
    TimedOut,
    TooMany,
    Unreachable,
)
from heygem_client.matrix import Matrix, PresenterFrom, ScriptFrom, render_matrix

__version__ = "1.0.0"
__all__ = [
    "Broken",
    "Conflict",
    "Damaged",
    "HeyGem",
    "HeyGemError",
    "Invalid",
    "Matrix",
    "NotAllowed",
    "NotFound",
    "PresenterFrom",
    "Problem",
    "Refused",
    "ScriptFrom",
    "SignedOut",
    "TimedOut",
    "TooMany",
    "Unreachable",
    "render_matrix",
]
