"""Measuring what the engine makes: ``python -m rendering.engine evaluate``."""
