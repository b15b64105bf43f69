"""Stochastic depth that computes only what it keeps."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn


def add_subset_residual(x: Tensor, branch: Callable[[Tensor], Tensor],
                        rate: float) -> Tensor:
    """X + branch(x) for a random part of the batch, x for the rest.

    Dropping a residual for each image on its own wastes its computation. Here
    exactly int(B (1 - rate)) images, one at least, are chosen and their
    residuals scaled by B over that number, so the expectation is that of the
    whole residual (DINOv2, arXiv 2304.07193, section 5, "efficient stochastic
    depth").

    Args:
        x: (B, ...).
        branch: Residual branch; acts on each image alone.
        rate: Share of the batch that is left out.

    Returns:
        Like ``x``.
    """
    batch = len(x)
    kept = max(1, int(batch * (1 - rate)))
    index = torch.randperm(batch, device=x.device)[:kept]
    residual = branch(x[index])
    return x.index_add(0, index, residual.to(x.dtype), alpha=batch / kept)


def _forward(layer: nn.Module, host_forward: Callable[[Tensor], Tensor],
             rate: float, x: Tensor) -> Tensor:
    """A transformer layer of the host, with both residuals on subsets."""
    if not layer.training:
        return host_forward(x)
    x = add_subset_residual(x, lambda t: layer.attn(layer.ln1(t)), rate)
    return add_subset_residual(
        x, lambda t: layer.ffn(layer.ln2(t), identity=0.), rate)


def use_subset_depth(layer: nn.Module, rate: float) -> None:
    """Let a layer of the host's ViT drop its residuals by subsets.

    Args:
        layer: Built without a drop path.
        rate: Share of the batch that each residual leaves out.
    """
    if rate:
        layer.forward = partial(_forward, layer, layer.forward, rate)


def plain_drop_rates(model: nn.Module) -> None:
    """Turn NumPy's drop path rates of the host into Python's.

    ``torch.compile`` breaks its graph at a comparison with the former.
    """
    for module in model.modules():
        if hasattr(module, 'drop_prob'):
            module.drop_prob = float(module.drop_prob)
