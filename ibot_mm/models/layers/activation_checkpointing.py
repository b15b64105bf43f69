"""Activation checkpointing of transformer blocks."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def _checkpointed(function: Callable[..., Tensor], *args) -> Tensor:
    if not torch.is_grad_enabled():
        return function(*args)
    # The host's own option is of the reentrant kind, which cannot be
    # differentiated before the backward pass.
    return checkpoint(function, *args, use_reentrant=False)


def use_checkpointing(block: nn.Module) -> None:
    """Let a block recompute its activations in the backward pass."""
    block.forward = partial(_checkpointed, block.forward)
