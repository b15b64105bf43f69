"""Tensors of which each process holds some rows.

Fully sharded training makes parameters, gradients and optimizer states
``DTensor``s that are sharded in their first dimension over all processes.
They are told by what they can do, since PyTorch's older versions have no
such class; plain tensors pass through everything here as they are.
"""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor


def is_sharded(tensor: Tensor) -> bool:
    """Whether other processes hold other rows of a tensor."""
    return hasattr(tensor, 'full_tensor')


@torch.no_grad()
def to_local(tensors: Iterable[Tensor]) -> list[Tensor]:
    """This process's rows of each tensor, without a copy.

    For operations that act on each element alone, on tensors that are
    sharded alike: lists of plain tensors are quicker than sharded ones.
    """
    return [t.to_local() if is_sharded(t) else t for t in tensors]


@torch.no_grad()
def full_norms(tensors: list[Tensor]) -> Tensor:
    """Norm of each tensor, of all of its rows; one exchange for all.

    Args:
        tensors: On one device; all of them sharded, or none.

    Returns:
        One number each, (len(tensors), ).
    """
    norms = torch.stack(torch._foreach_norm(to_local(tensors)))
    if not is_sharded(tensors[0]):
        return norms
    squares = norms.square()
    dist.all_reduce(squares, group=tensors[0].device_mesh.get_group())
    return squares.sqrt()


@torch.no_grad()
def full_tensor(tensor: Tensor) -> Tensor:
    """All rows of a tensor; every process has to ask for them."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor


@torch.no_grad()
def shard_like(tensor: Tensor, like: Tensor) -> Tensor:
    """A whole tensor, sharded; each process has the same one.

    Args:
        tensor: Whole, on any device; only the rows needed are read.
        like: A tensor of its shape, sharded or not.

    Returns:
        The rows that ``like`` has here, on its device; ``tensor`` itself
        where ``like`` is not sharded.
    """
    if not is_sharded(like):
        return tensor
    mesh = like.device_mesh
    # As torch.chunk deals them out: the last processes may have none.
    rows = -(-len(tensor) // mesh.size())
    first = mesh.get_local_rank() * rows
    result = torch.empty_like(like, dtype=tensor.dtype)
    to_local([result])[0].copy_(tensor[first:first + rows])
    return result
