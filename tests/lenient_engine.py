"""The real engine, content with a few seconds of footage and with whatever a few steps of training come to.

``python -m tests.lenient_engine`` takes the place of ``python -m rendering.engine serve`` where the whole way of a
mouth model is walked: one that its gate lets pass takes minutes to learn.
"""

from __future__ import annotations

import sys

from rendering.engine.__main__ import main
from rendering.engine.neural import gate, learn

if __name__ == "__main__":
    gate.CRITERIA = ()
    learn.LEAST_S = 4.0
    sys.exit(main(["serve"]))
