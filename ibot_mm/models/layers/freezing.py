"""Parts of a model that neither learn nor act at random."""


from torch import nn


def freeze(*parts: nn.Module | nn.Parameter | None) -> None:
    """Stop the gradients of parts of a model and put them in eval mode.

    ``train()`` of the model they belong to undoes the second half, so it has
    to call this again.

    Args:
        *parts: Modules and parameters; None is passed over.
    """
    for part in parts:
        if part is None:
            continue
        part.requires_grad_(False)
        if isinstance(part, nn.Module):
            part.eval()


def check_frozen_stages(owner: str, frozen_stages: int, highest: int) -> None:
    """Refuse a number of frozen stages that the backbone has not.

    Raises:
        ValueError: It is not within -1 and ``highest``.
    """
    if not -1 <= frozen_stages <= highest:
        raise ValueError(f'{owner}: frozen_stages must be from -1 (nothing '
                         f'frozen) to {highest}, got {frozen_stages}.')
