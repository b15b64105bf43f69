"""The model behind its distributed wrapper."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.model import is_model_wrapper
from torch import nn


def unwrapped_model(runner) -> nn.Module:
    """A runner's model without its distributed wrapper, if it has one."""
    model = runner.model
    return model.module if is_model_wrapper(model) else model


@contextmanager
def unsharded_model(runner) -> Iterator[nn.Module]:
    """A runner's model, for calls outside of the training step.

    For a sharded model this is an unsharded copy; all processes have to
    enter.
    """
    strategy = getattr(runner, 'strategy', None)
    if hasattr(strategy, 'unsharded_model'):
        with strategy.unsharded_model() as model:
            yield model
    else:
        yield unwrapped_model(runner)
