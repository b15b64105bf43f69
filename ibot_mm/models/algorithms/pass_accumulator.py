"""Gradients taken during the forward pass, to let activations go."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class _AccumulatedPasses(torch.autograd.Function):
    """A loss whose gradients are known already."""

    @staticmethod
    def forward(ctx, loss: Tensor, num: int,
                *grads_and_parameters: Tensor) -> Tensor:
        ctx.grads = grads_and_parameters[:num]
        return loss.clone()

    @staticmethod
    def backward(ctx, factor: Tensor) -> tuple:
        grads, ctx.grads = ctx.grads, None
        if grads is None:
            raise RuntimeError('early gradients serve one backward pass.')
        torch._foreach_mul_(grads, [factor] * len(grads))
        return (None, None, *[None] * len(grads), *grads)


class PassAccumulator:
    """Differentiate some of a sum's losses before the others are computed.

    A sum of losses with graphs of their own needs the activations of only one
    graph at a time when all but the last are differentiated at once. The
    gradients are kept, and take part in the one later backward pass, through
    which they reach the parameters (and the hooks of a distributed wrapper)
    as usual.

    Args:
        parameters: All parameters that the losses may depend on.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self.parameters = [p for p in parameters if p.requires_grad]
        self.gradients: dict[int, Tensor] = {}

    def add(self, loss: Tensor) -> None:
        """Differentiate a scalar now; its graph is freed."""
        # A backward pass must not run under autocast: products of the float32
        # parts of the graph would be cast.
        with torch.autocast(loss.device.type, enabled=False):
            new = torch.autograd.grad(
                loss, self.parameters, allow_unused=True)
        both = [i for i, grad in enumerate(new)
                if grad is not None and i in self.gradients]
        self.gradients.update({
            i: grad for i, grad in enumerate(new)
            if grad is not None and i not in self.gradients
        })
        if both:
            torch._foreach_add_([self.gradients[i] for i in both],
                                [new[i] for i in both])

    def attach(self, loss: Tensor) -> Tensor:
        """A scalar like ``loss`` (without a graph) that has the gradients.

        The gradients are those of everything that was added; it serves one
        backward pass.
        """
        if not self.gradients:
            return loss
        return _AccumulatedPasses.apply(
            loss, len(self.gradients), *self.gradients.values(),
            *(self.parameters[i] for i in self.gradients))
