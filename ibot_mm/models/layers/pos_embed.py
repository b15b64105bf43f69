"""Interpolation of position embeddings and relative position biases."""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor


@lru_cache(maxsize=4)  # detectors see images of many sizes
@torch.inference_mode(False)
@torch.no_grad()
def resize_matrix(source: tuple[int, int], target: tuple[int, int],
                  mode: str, offset: float, device: torch.device,
                  antialias: bool = False) -> Tensor:
    """Interpolation of a grid as a matrix.

    Interpolation is linear in the values. On GPUs a product with this matrix
    is faster than PyTorch's kernel, which has one thread per output position,
    and its backward pass is deterministic.

    Args:
        source: Grid (h, w) before.
        target: Grid (h', w') after.
        mode: See :func:`interpolate_positions`.
        offset: See :func:`interpolate_positions`.
        device: Device of the result.
        antialias: See :func:`interpolate_positions`.

    Returns:
        (h' w', h w), float64 of float32 precision.
    """
    size = source[0] * source[1]
    with torch.autocast(device.type, enabled=False):
        identity = torch.eye(size, device=device).reshape(1, size, *source)
        if offset:
            scale = [(t + offset) / s for t, s in zip(target, source)]
            target_size = dict(scale_factor=scale)
        else:
            target_size = dict(size=target)
        columns = F.interpolate(identity, **target_size, mode=mode,
                                antialias=antialias)
    assert columns.shape[-2:] == target
    return columns.flatten(2)[0].T.double().contiguous()


def interpolate_positions(pos_embed: Tensor,
                          source: tuple[int, int],
                          target: tuple[int, int],
                          num_extra_tokens: int = 1,
                          mode: str = 'bicubic',
                          offset: float = 0.1,
                          antialias: bool = False) -> Tensor:
    """Resize position embeddings to another grid.

    The official code passes ``scale_factor = (n + 0.1) / source`` to the
    interpolation (the offset guards against an output that is one short); the
    factor, not the output size, then determines the sampling positions.

    Args:
        pos_embed: Embeddings, (1, extra + source_h * source_w, C).
        source: Grid (h, w) of ``pos_embed``.
        target: Grid (h, w) of the result.
        num_extra_tokens: Leading tokens without a position on the grid.
        mode: Interpolation mode of ``torch.nn.functional.interpolate``.
        offset: Added to the target grid in the scale factor; 0 resizes by
            ``size``, as MMPretrain does.
        antialias: As of ``torch.nn.functional.interpolate``; it changes
            larger grids, too, because the kernel is another one.

    Returns:
        Embeddings (1, extra + target_h * target_w, C), same dtype.
    """
    if tuple(source) == tuple(target):
        return pos_embed
    extra, grid = pos_embed.split(
        [num_extra_tokens, pos_embed.shape[1] - num_extra_tokens], dim=1)
    matrix = resize_matrix(tuple(source), tuple(target), mode, offset,
                           grid.device, antialias)
    with torch.autocast(grid.device.type, enabled=False):
        grid = (matrix @ grid.double()).to(extra.dtype)
    return torch.cat([extra, grid], dim=1)


def resize_bias_table(table: Tensor, length: int) -> Tensor:
    """Resize relative position biases to another window (bicubic).

    Args:
        table: Biases of a window of side w, ((2 w - 1) ** 2, heads).
        length: Number of rows of the result, (2 w' - 1) ** 2.

    Returns:
        (length, heads), same dtype.
    """
    source, target = math.isqrt(len(table)), math.isqrt(length)
    grid = table.T.reshape(1, -1, source, source).float()
    grid = F.interpolate(grid, size=(target, target), mode='bicubic')
    return grid.flatten(2)[0].T.to(table.dtype)
