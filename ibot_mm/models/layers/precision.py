"""Numerical precision of single operations."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Cast float16 and bfloat16 to float32; keep other dtypes."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def autocast_dtype(device_type: str) -> torch.dtype | None:
    """Current autocast dtype of a device type; None if autocast is off.

    Args:
        device_type: 'cpu' or 'cuda'.
    """
    if hasattr(torch, 'get_autocast_dtype'):
        enabled = torch.is_autocast_enabled(device_type)
        return torch.get_autocast_dtype(device_type) if enabled else None
    # PyTorch before 2.4.
    if device_type == 'cpu':
        enabled = torch.is_autocast_cpu_enabled()
        return torch.get_autocast_cpu_dtype() if enabled else None
    return (torch.get_autocast_gpu_dtype()
            if torch.is_autocast_enabled() else None)
