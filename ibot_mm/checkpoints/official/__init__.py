"""Checkpoints of the official iBOT code."""
