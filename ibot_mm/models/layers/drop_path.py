"""Stochastic depth that skips the computation of dropped residuals."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn


def add_subset_residual(x: Tensor, branch: Callable[[Tensor], Tensor],
                        rate: float) -> Tensor:
    """Add a residual branch to a random subset of the batch.

    The branch is computed for n = max(1, int(B (1 - rate))) images only, and
    its output scaled by B / n, so the expectation is ``x + branch(x)``
    (DINOv2, arXiv 2304.07193, section 5, "efficient stochastic depth").

    Args:
        x: (B, ...).
        branch: Residual branch; must treat images independently.
        rate: Fraction of the batch that is left out.

    Returns:
        Tensor of the shape and dtype of ``x``.
    """
    batch = len(x)
    kept = max(1, int(batch * (1 - rate)))
    index = torch.randperm(batch, device=x.device)[:kept]
    residual = branch(x[index])
    return x.index_add(0, index, residual.to(x.dtype), alpha=batch / kept)


def _forward(layer: nn.Module, forward: Callable[[Tensor], Tensor],
             rate: float, x: Tensor) -> Tensor:
    """Forward pass of a transformer layer with both residuals on subsets."""
    if not layer.training:
        return forward(x)
    x = add_subset_residual(x, lambda t: layer.attn(layer.ln1(t)), rate)
    return add_subset_residual(
        x, lambda t: layer.ffn(layer.ln2(t), identity=0.), rate)


def use_subset_depth(layer: nn.Module, rate: float) -> None:
    """Make a layer of MMPretrain's ViT drop its residuals by subsets.

    Args:
        layer: Layer built without a drop path.
        rate: Fraction of the batch that each residual leaves out.
    """
    if rate:
        layer.forward = partial(_forward, layer, layer.forward, rate)


def plain_drop_rates(model: nn.Module) -> None:
    """Convert MMPretrain's NumPy drop path rates to Python floats.

    Comparisons with NumPy scalars break the graph of ``torch.compile``.
    """
    for module in model.modules():
        if hasattr(module, 'drop_prob'):
            module.drop_prob = float(module.drop_prob)
