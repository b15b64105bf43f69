"""Warn about networks that are used before their checkpoint was read."""

import logging
from typing import Any

from mmengine.logging import print_log
from mmengine.model import PretrainedInit
from torch import Tensor, nn


def pretrained_cfg(module: nn.Module) -> dict[str, Any] | None:
    """The entry of type ``Pretrained`` of a module's ``init_cfg``, if any."""
    cfg = getattr(module, 'init_cfg', None) or []
    entries = [cfg] if isinstance(cfg, dict) else cfg
    return next((entry for entry in entries
                 if entry.get('type') in ('Pretrained', PretrainedInit)), None)


class UnreadCheckpoint:
    """Warns once if a module is used with the weights of its construction.

    ``Runner.train`` calls ``init_weights``, which reads the checkpoint of the
    ``init_cfg``; in Python it is easily forgotten. Loading weights from
    anywhere ends the watch, so it is no part of later forward passes.

    Args:
        module: Its ``init_cfg`` names a checkpoint.
        entrance: The part of it that every kind of forward pass calls.
    """

    def __init__(self, module: nn.Module, entrance: nn.Module) -> None:
        self.message = (
            f'{type(module).__name__} is used with random weights: the '
            f'checkpoint "{pretrained_cfg(module).get("checkpoint")}" of its '
            'init_cfg was not read. Call init_weights() first.')
        self.handle = entrance.register_forward_pre_hook(self.warn)
        module.register_load_state_dict_post_hook(self.loaded)

    def warn(self, entrance: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Before the first forward pass."""
        self.handle.remove()
        print_log(self.message, logger='current', level=logging.WARNING)

    def loaded(self, module: nn.Module, incompatible_keys) -> None:
        """After weights were loaded."""
        self.handle.remove()


def warn_if_unread(module: nn.Module, entrance: nn.Module) -> None:
    """Watch a module whose ``init_cfg`` names a checkpoint."""
    if pretrained_cfg(module):
        UnreadCheckpoint(module, entrance)
