"""Accumulation of losses and gradients over the passes of one step."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

# PyTorch 2.1 only takes a list, and launches a kernel for each gradient.
TAKES_TENSOR = 'Tensor' in torch.ops.aten._foreach_mul_.overloads()


class _AccumulatedGradients(torch.autograd.Function):
    """Zero, with given gradients."""

    @staticmethod
    def forward(ctx, num: int, *grads_and_parameters: Tensor) -> Tensor:
        ctx.grads = grads_and_parameters[:num]
        return ctx.grads[0].new_zeros(())

    @staticmethod
    def backward(ctx, factor: Tensor) -> tuple:
        grads, ctx.grads = ctx.grads, None
        if grads is None:
            raise RuntimeError('PassAccumulator: the accumulated gradients '
                               'support only one backward pass.')
        torch._foreach_mul_(
            grads, factor if TAKES_TENSOR else [factor] * len(grads))
        return (None, *[None] * len(grads), *grads)


def _sum(a: dict[str, Tensor], b: dict[str, Tensor]) -> dict[str, Tensor]:
    """Sums of the values of the same name."""
    total = dict(a)
    for name, value in b.items():
        total[name] = total[name] + value if name in total else value
    return total


class PassAccumulator:
    """Sum of losses whose graphs do not exist at the same time.

    Each pass is differentiated before the next one runs, so the activations of
    only one are alive. The sum of the gradients enters the backward pass of
    the last one, through which it reaches the parameters (and the hooks of a
    distributed wrapper) as usual.

    Args:
        parameters: All parameters that the losses may depend on.
        enabled: If False, only sum the losses.
    """

    def __init__(self,
                 parameters: Iterable[nn.Parameter],
                 enabled: bool = True) -> None:
        self.parameters = [p for p in parameters if p.requires_grad]
        self.enabled = enabled
        self.gradients: dict[int, Tensor] = {}
        self._finished: dict[str, Tensor] = {}
        self._last: dict[str, Tensor] = {}

    def add(self, run: Callable[..., dict[str, Tensor]], *args) -> None:
        """Differentiate the previous pass, then run the next one.

        Args:
            run: Function that returns losses.
            *args: Its arguments.
        """
        if self.enabled and self._last:
            self._differentiate(sum(self._last.values()))
            self._last = {k: v.detach() for k, v in self._last.items()}
        self._finished = _sum(self._finished, self._last)
        self._last = {}
        self._last = run(*args)

    def _differentiate(self, loss: Tensor) -> None:
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

    def losses(self) -> dict[str, Tensor]:
        """The summed losses; the sum of all supports one backward pass."""
        total = _sum(self._finished, self._last)
        if self.gradients:
            # Autograd runs the latest node first. From here the gradients are
            # in place before the layers of the last pass add theirs; otherwise
            # every parameter would wait for the end of the backward pass.
            name = next(iter(self._last))
            total[name] = total[name] + _AccumulatedGradients.apply(
                len(self.gradients), *self.gradients.values(),
                *(self.parameters[i] for i in self.gradients))
        return total
