"""The only room that starts the engine."""
