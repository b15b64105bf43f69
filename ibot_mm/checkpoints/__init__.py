"""Read, check, convert and write checkpoints."""
