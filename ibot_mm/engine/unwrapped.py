"""The model behind a distributed wrapper."""

from mmengine.model import is_model_wrapper
from torch import nn


def unwrapped_model(runner) -> nn.Module:
    """A runner's model without its wrapper, if it has one."""
    model = runner.model
    return model.module if is_model_wrapper(model) else model
