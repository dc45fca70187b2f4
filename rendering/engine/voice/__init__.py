"""What the engine hears and what the mouth should do: speech, features, the base model, the presenter's own."""
