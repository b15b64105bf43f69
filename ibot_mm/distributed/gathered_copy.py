"""An unsharded copy of a sharded model, to extract features."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import nn

from .dtensor import full_tensor


class GatheredCopy:
    """A copy on the meta device that temporarily holds unsharded weights.

    Each call of a sharded model is collective, and processes may have
    different numbers of images to extract features of.

    Args:
        model: The model before it is sharded.
        prefix: Prefix of the names of the weights that are needed.
    """

    def __init__(self, model: nn.Module, prefix: str) -> None:
        # deepcopy does not copy what it finds in its memo.
        empty = {
            id(p): nn.Parameter(
                torch.empty_like(p, device='meta'), requires_grad=False)
            for p in model.parameters()
        }
        self.model = deepcopy(model, empty).eval()
        self.prefix = prefix

    @contextmanager
    def filled(self, model: nn.Module) -> Iterator[nn.Module]:
        """Gather the current weights of a sharded model into the copy.

        Every process has to enter, and holds these weights until it leaves.

        Args:
            model: The sharded model.

        Yields:
            The copy, in evaluation mode; weights without the prefix stay on
            the meta device.
        """
        empty = dict(self.model.state_dict())
        self.model.load_state_dict(
            {
                name: full_tensor(value)
                for name, value in model.state_dict().items()
                if name.startswith(self.prefix)
            },
            strict=False,
            assign=True)
        try:
            yield self.model
        finally:
            self.model.load_state_dict(empty, assign=True)
