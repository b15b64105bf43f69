"""The weights of a backbone, taken out of a checkpoint."""

from typing import Dict

from torch import Tensor

from .official_checkpoint import add_prefix, strip
from .safe_load import CheckpointError


def extract(state: Dict[str, Tensor], side: str,
            with_neck: bool = False) -> Dict[str, Tensor]:
    """Backbone, and neck if asked for, of one side of a pre-training.

    Args:
        state: State dict of ``IBOT``.
        side: 'teacher' or 'student'.
        with_neck: Whether to take the projection head along.

    Returns:
        ``backbone.*`` without a mask token, and ``neck.*``.

    Raises:
        CheckpointError: The side is not in the checkpoint.
    """
    prefix = 'teacher.' if side == 'teacher' else ''
    result: Dict[str, Tensor] = {}
    for part in ('backbone.', 'neck.') if with_neck else ('backbone.', ):
        found = strip(state, prefix + part)
        if not found:
            raise CheckpointError(
                f'the checkpoint has no {part[:-1]} of the {side}: nothing '
                f'starts with "{prefix}{part}". It holds '
                f'{", ".join(list(state)[:3])} ...')
        found.pop('mask_token', None)
        result.update(add_prefix(found, part))
    return result
