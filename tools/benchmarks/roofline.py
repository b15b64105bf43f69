"""Predicted cost of operations on a GPU: a roofline model.

An operation takes the longest of its memory traffic, its arithmetic and its
launch, from peaks of data sheets times the shares of them in ``EFFICIENCY``.
"""

import math
from dataclasses import dataclass, fields
from typing import Any

import torch
from cards import Card
from torch import Tensor

# Shares of the peaks that kernels of this size are assumed to reach.
EFFICIENCY = dict(bandwidth=0.78, matrix=0.57, single=0.75, attention=0.22,
                  short_attention=0.11)
LAUNCH = 2.2e-6  # seconds a kernel takes at least


@dataclass
class Cost:
    """Cost of operations; of several, their sum.

    Attributes:
        kernels: Launches.
        bytes: Read and written.
        flops: Of matrix products, convolutions and attention.
        seconds: Predicted.
    """

    kernels: int = 0
    bytes: float = 0.
    flops: float = 0.
    seconds: float = 0.

    def add(self, other: 'Cost') -> None:
        """Add another cost."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) +
                    getattr(other, field.name))


def roofline(card: Card, kernels: int, traffic: float, flops: float = 0.,
             peak: float = 1.) -> Cost:
    """Cost of kernels that move ``traffic`` bytes and compute ``flops``.

    Args:
        card: The GPU.
        kernels: Launches.
        traffic: Bytes.
        flops: FLOPs.
        peak: FLOP/s that they reach.
    """
    return Cost(kernels, traffic, flops, max(
        flops / peak, traffic / (EFFICIENCY['bandwidth'] * card.bandwidth),
        LAUNCH * kernels))


def num_bytes(tensor: Tensor) -> int:
    """Bytes that a tensor takes in memory; expanded dimensions count once."""
    count = math.prod(size for size, stride in zip(
        tensor.shape, tensor.stride()) if stride)
    return count * tensor.element_size()


def matrix_flops(name: str, ins: list[Tensor], outs: list[Tensor]) -> float:
    """FLOPs of a matrix product or convolution; 0 for other operations."""
    if name in ('mm', 'bmm'):
        return 2. * outs[0].numel() * ins[0].shape[-1]
    if name == 'addmm':
        return 2. * outs[0].numel() * ins[1].shape[-1]
    if name == 'convolution':
        return 2. * outs[0].numel() * ins[1][0].numel()
    if name == 'convolution_backward':  # the images need no gradient
        return 2. * ins[0].numel() * ins[2][0].numel()
    return 0.


def foreach_launches(lists: int, tensors: list[Tensor]) -> int:
    """Launches of a ``_foreach`` operation on ``lists`` lists of tensors.

    PyTorch's multi_tensor_apply takes a limited number of tensors and 320
    chunks of 65,536 values per launch.
    """
    limit = {1: 110, 2: 64, 3: 48, 4: 36}.get(lists, 30)
    chunks = sum(math.ceil(t.numel() / 65536) for t in tensors)
    return max(math.ceil(len(tensors) / limit), math.ceil(chunks / 320))


def cost_of(name: str, ins: list[Tensor], outs: list[Tensor], args: Any,
            card: Card, tf32: bool) -> Cost:
    """Cost of one operation.

    Args:
        name: Name of the operation in ``torch.ops.aten``.
        ins: Tensors that it reads.
        outs: Tensors that it writes.
        args: Its positional arguments.
        card: The GPU.
        tf32: Whether float32 matrix products run in TF32.
    """
    traffic, kernels = float(sum(map(num_bytes, ins + outs))), 1
    flops = matrix_flops(name, ins, outs)
    single = ins and ins[-1].dtype == torch.float32
    peak = EFFICIENCY['matrix'] * card.half
    if single:
        peak = (EFFICIENCY['matrix'] * card.tf32 if tf32 else
                EFFICIENCY['single'] * card.single)
    if 'attention' in name:
        # (B, heads, N, D): two products forward, five backward.
        query = next(t for t in ins if t.dim() == 4)
        backward = 'backward' in name
        flops = (10. if backward else 4.) * query.numel() * query.shape[2]
        kernels, traffic = ((3, 12.) if backward else (1, 4.))
        traffic *= num_bytes(query)
        peak = card.half * EFFICIENCY[
            'attention' if query.shape[2] > 100 else 'short_attention']
    elif name in ('select_backward', 'slice_backward'):  # zeros, then a copy
        kernels, traffic = 2, 2. * num_bytes(ins[0]) + num_bytes(outs[0])
    elif name == 'native_layer_norm_backward':  # and the weight's gradient
        kernels, traffic = 2, traffic + sum(map(num_bytes, ins[:2]))
    elif name.startswith(('_foreach', '_fused_adam')):
        lists = [a for a in args if isinstance(a, (list, tuple)) and a
                 and isinstance(a[0], Tensor)]
        kernels = foreach_launches(len(lists), list(lists[0]))
        if name == '_foreach_mul_':
            scalars = len(lists) > 1 and not lists[1][0].dim()
            # A list of scalar tensors has no fused kernel.
            kernels = len(lists[0]) if scalars else kernels
    return roofline(card, kernels, traffic, flops, peak)
