"""Helpers for DTensors.

Sharded training makes parameters, gradients and optimizer states ``DTensor``s
that are sharded in their first dimension over all processes. Plain tensors
pass through all functions unchanged.
"""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor


def is_sharded(tensor: Tensor) -> bool:
    """Whether a tensor is a DTensor, a class that PyTorch 2.1 lacks."""
    return hasattr(tensor, 'full_tensor')


@torch.no_grad()
def to_local(tensors: Iterable[Tensor]) -> list[Tensor]:
    """This process's rows of each tensor, without a copy.

    For elementwise operations on tensors that are sharded alike: on plain
    tensors they are faster than on DTensors.
    """
    return [t.to_local() if is_sharded(t) else t for t in tensors]


@torch.no_grad()
def full_norms(tensors: list[Tensor]) -> Tensor:
    """Norm of each unsharded tensor, with one all-reduce.

    Args:
        tensors: On one device; all of them sharded, or none.

    Returns:
        (len(tensors), ).
    """
    norms = torch.stack(torch._foreach_norm(to_local(tensors)))
    if not is_sharded(tensors[0]):
        return norms
    squares = norms.square()
    dist.all_reduce(squares, group=tensors[0].device_mesh.get_group())
    return squares.sqrt()


@torch.no_grad()
def full_tensor(tensor: Tensor) -> Tensor:
    """The unsharded tensor; a collective call."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor


@torch.no_grad()
def shard_like(tensor: Tensor, like: Tensor) -> Tensor:
    """Shard a tensor that every process has; no communication.

    Args:
        tensor: Unsharded, on any device; only the rows needed are read.
        like: A tensor of its shape, sharded or not.

    Returns:
        A tensor on the device of ``like`` and sharded as it is; ``tensor``
        itself where ``like`` is not sharded.
    """
    if not is_sharded(like):
        return tensor
    mesh = like.device_mesh
    # As torch.chunk splits: the last processes may have no rows.
    rows = -(-len(tensor) // mesh.size())
    first = mesh.get_local_rank() * rows
    result = torch.empty_like(like, dtype=tensor.dtype)
    to_local([result])[0].copy_(tensor[first:first + rows])
    return result
