"""Launching, model unwrapping, DTensor helpers, sharded training."""
