"""The model behind its wrappers."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn


def unwrapped(model: nn.Module) -> nn.Module:
    """A model, not distributed and without test-time augmentation."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def unwrapped_model(runner) -> nn.Module:
    """A runner's model behind its wrappers."""
    return unwrapped(runner.model)


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
