"""Activation checkpointing of transformer blocks."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def _checkpointed(function: Callable[..., Tensor], *args) -> Tensor:
    if not torch.is_grad_enabled():
        return function(*args)
    # MMPretrain's with_cp uses reentrant checkpointing, which does not support
    # torch.autograd.grad (PassAccumulator).
    return checkpoint(function, *args, use_reentrant=False)


def use_checkpointing(block: nn.Module) -> None:
    """Make a block recompute its activations in the backward pass."""
    block.forward = partial(_checkpointed, block.forward)
