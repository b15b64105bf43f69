"""Gradient accumulation over the forward passes of one step."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class _AccumulatedPasses(torch.autograd.Function):
    """A loss whose gradients have already been computed."""

    @staticmethod
    def forward(ctx, loss: Tensor, num: int,
                *grads_and_parameters: Tensor) -> Tensor:
        ctx.grads = grads_and_parameters[:num]
        return loss.clone()

    @staticmethod
    def backward(ctx, factor: Tensor) -> tuple:
        grads, ctx.grads = ctx.grads, None
        if grads is None:
            raise RuntimeError('PassAccumulator: the accumulated gradients '
                               'support only one backward pass.')
        torch._foreach_mul_(grads, [factor] * len(grads))
        return (None, None, *[None] * len(grads), *grads)


class PassAccumulator:
    """Differentiate the terms of a loss one by one as they are computed.

    The terms have separate graphs, so only one graph's activations are alive
    if each term is differentiated before the next is computed. The sum of
    gradients is kept and enters the later backward pass of the last term,
    through which it reaches the parameters (and the hooks of a distributed
    wrapper) as usual.

    Args:
        parameters: All parameters that the terms may depend on.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self.parameters = [p for p in parameters if p.requires_grad]
        self.gradients: dict[int, Tensor] = {}

    def add(self, loss: Tensor) -> None:
        """Differentiate a scalar and free its graph."""
        # Under autocast the backward pass would cast the float32 parts of the
        # graph.
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
        """Copy of ``loss`` whose backward pass yields the gradient sum.

        Args:
            loss: A scalar without a graph.

        Returns:
            A scalar that supports one backward pass; ``loss`` itself if
            nothing was added.
        """
        if not self.gradients:
            return loss
        return _AccumulatedPasses.apply(
            loss, len(self.gradients), *self.gradients.values(),
            *(self.parameters[i] for i in self.gradients))
