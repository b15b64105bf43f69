"""The model behind what distributes it."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.model import is_model_wrapper
from torch import nn


def unwrapped_model(runner) -> nn.Module:
    """A runner's model without its wrapper, if it has one."""
    model = runner.model
    return model.module if is_model_wrapper(model) else model


@contextmanager
def unsharded_model(runner) -> Iterator[nn.Module]:
    """A runner's model, to be called outside of the training step.

    Of a sharded one a copy with whole weights, for which all processes have
    to come here.
    """
    strategy = getattr(runner, 'strategy', None)
    if hasattr(strategy, 'unsharded_model'):
        with strategy.unsharded_model() as model:
            yield model
    else:
        yield unwrapped_model(runner)
