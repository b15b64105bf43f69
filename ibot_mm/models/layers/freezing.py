"""Freezing of parts of a model."""

from torch import nn


def freeze(*parts: nn.Module | nn.Parameter | None) -> None:
    """Disable the gradients of parts of a model and set them to eval mode.

    ``train()`` of the parent undoes the eval mode, so it has to call this
    again.

    Args:
        *parts: Modules and parameters; None is skipped.
    """
    for part in parts:
        if part is None:
            continue
        part.requires_grad_(False)
        if isinstance(part, nn.Module):
            part.eval()


def check_frozen_stages(owner: str, frozen_stages: int, highest: int) -> None:
    """Raise if ``frozen_stages`` is out of range.

    Raises:
        ValueError: It is not from -1 to ``highest``.
    """
    if not -1 <= frozen_stages <= highest:
        raise ValueError(f'{owner}: frozen_stages must be from -1 (nothing '
                         f'frozen) to {highest}, got {frozen_stages}.')
