"""Gradients taken during the forward pass, to let activations go."""

from typing import Iterable, Tuple

import torch
from torch import Tensor, nn


class _EarlyGradients(torch.autograd.Function):
    """A loss whose gradients are known already."""

    @staticmethod
    def forward(ctx, loss: Tensor, num: int,
                *grads_and_parameters: Tensor) -> Tensor:
        ctx.grads = grads_and_parameters[:num]
        return loss.clone()

    @staticmethod
    def backward(ctx, factor: Tensor) -> Tuple:
        grads, ctx.grads = ctx.grads, None
        if grads is None:
            raise RuntimeError('early gradients serve one backward pass.')
        torch._foreach_mul_(grads, [factor] * len(grads))
        return (None, None, *[None] * len(grads), *grads)


def with_early_gradients(loss: Tensor,
                         parameters: Iterable[nn.Parameter]) -> Tensor:
    """Differentiate a loss now, and free its graph and activations.

    A sum of losses with graphs of their own needs the activations of only one
    graph at a time when all but the last are differentiated at once. The
    result can be added to other losses and takes part in one later backward
    pass, through which the gradients reach the parameters (and the hooks of a
    distributed wrapper) as usual.

    Args:
        loss: Scalar.
        parameters: All parameters that the loss may depend on.

    Returns:
        A scalar of the same value.
    """
    wanted = [p for p in parameters if p.requires_grad]
    # A backward pass must not run under autocast: products of the float32
    # parts of the graph would be cast.
    with torch.autocast(loss.device.type, enabled=False):
        grads = torch.autograd.grad(loss, wanted, allow_unused=True)
    known = [(g, p) for g, p in zip(grads, wanted) if g is not None]
    grads, wanted = zip(*known)
    return _EarlyGradients.apply(loss.detach(), len(grads), *grads, *wanted)
