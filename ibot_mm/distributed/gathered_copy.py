"""A copy of a sharded model with whole weights, to extract features."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import nn

from .dtensor import full_tensor


class GatheredCopy:
    """A model without weights, which takes those of a part for a while.

    Processes may have different numbers of images to extract features of,
    and the calls of a sharded model have to meet.

    Args:
        model: The model before it is sharded.
        part: Beginning of the names of the weights that are needed.
    """

    def __init__(self, model: nn.Module, part: str) -> None:
        # What deepcopy finds in its memo it does not copy.
        empty = {
            id(p): nn.Parameter(
                torch.empty_like(p, device='meta'), requires_grad=False)
            for p in model.parameters()
        }
        self.model = deepcopy(model, empty).eval()
        self.part = part

    @contextmanager
    def filled(self, model: nn.Module) -> Iterator[nn.Module]:
        """The copy with the weights that a sharded model has now.

        Every process has to enter. Each holds the whole part until it leaves.

        Args:
            model: The sharded model.

        Yields:
            The copy, in evaluation mode; weights beyond the part have no
            values.
        """
        empty = dict(self.model.state_dict())
        self.model.load_state_dict(
            {
                name: full_tensor(value)
                for name, value in model.state_dict().items()
                if name.startswith(self.part)
            },
            strict=False,
            assign=True)
        try:
            yield self.model
        finally:
            self.model.load_state_dict(empty, assign=True)
