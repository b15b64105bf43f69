"""Stochastic depth."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

if hasattr(torch.compiler, 'is_compiling'):
    from torch.compiler import is_compiling
else:  # PyTorch 2.1
    from torch._dynamo import is_compiling


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


def drop_path_scales(keep_rates: Tensor, batch: int) -> Tensor:
    """Factors of residuals that are dropped image by image.

    Stochastic depth (Huang et al., arXiv 1603.09382, section 3): a residual
    is kept with probability p and then divided by p. One draw for all layers
    takes a few kernels instead of a few per residual.

    Args:
        keep_rates: p of each layer, (L, 1, 1, 1, 1).
        batch: Number B of images.

    Returns:
        0 or 1 / p, (L, 2, B, 1, 1): two residuals in each layer.
    """
    drawn = torch.rand(len(keep_rates), 2, batch, 1, 1,
                       device=keep_rates.device)
    return drawn.add_(keep_rates).floor_().div_(keep_rates)


class _AddScaled(torch.autograd.Function):
    """x + branch * scale, with one kernel per gradient."""

    @staticmethod
    def forward(ctx, x: Tensor, branch: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(scale)
        ctx.dtype = branch.dtype
        # Autocast on GPUs would cast the branch to float32 first.
        with torch.autocast(x.device.type, enabled=False):
            return torch.addcmul(x, branch, scale)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        scale, = ctx.saved_tensors
        of_branch = torch.empty_like(grad, dtype=ctx.dtype)
        # Autograd would multiply in float32, then cast.
        return grad, torch.mul(grad, scale, out=of_branch), None


def add_scaled(x: Tensor, branch: Tensor, scale: Tensor) -> Tensor:
    """Add a residual that is scaled by image.

    Args:
        x: (B, N, C).
        branch: Residual, (B, N, C), maybe of a lower precision.
        scale: (B, 1, 1), without a gradient.

    Returns:
        x + branch * scale, of the dtype of ``x``.
    """
    if is_compiling():  # the compiler fuses it
        return torch.addcmul(x, branch, scale)
    return _AddScaled.apply(x, branch, scale)


def plain_drop_rates(model: nn.Module) -> None:
    """Convert MMPretrain's NumPy drop path rates to Python floats.

    Comparisons with NumPy scalars break the graph of ``torch.compile``.
    """
    for module in model.modules():
        if hasattr(module, 'drop_prob'):
            module.drop_prob = float(module.drop_prob)
