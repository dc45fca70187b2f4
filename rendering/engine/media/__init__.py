"""Files in, pictures and sound out: probing, reading, measuring and writing, all through PyAV."""
