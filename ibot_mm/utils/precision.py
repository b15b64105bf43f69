"""Numerical precision of single operations."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Halves as float32; wider types as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
