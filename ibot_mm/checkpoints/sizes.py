"""Patches, positions and windows of a checkpoint that do not fit."""

import math

from torch import Tensor

from .load import CheckpointError
from .official.state_dict import State
from .strict import KERNEL


def _patches(kernel: Tensor) -> str:
    return 'patches of {}x{} pixels'.format(*kernel.shape[2:])


def _positions(pos_embed: Tensor) -> str:
    count = pos_embed.shape[1] - 1
    side = math.isqrt(count)
    grid = f'{side}x{side}' if side**2 == count else count
    return f'positions of {grid} patches'


def _windows(table: Tensor) -> str:
    side = (math.isqrt(len(table)) + 1) // 2
    return f'windows of {side}x{side} tokens'


# End of a name -> its size in words, dimensions of the size, what to set to
# have it, what to set to change it. Another patch size makes another grid, so
# patches come first.
_SIZES = {
    KERNEL: (_patches, slice(2, 4), 'patch_size', 'resize_patches'),
    'pos_embed': (_positions, 1, 'img_size', 'resize_positions'),
    'relative_position_bias_table': (
        _windows, 0, 'window_size and img_size', 'resize_positions'),
}


def check_sizes(state: State, own: State, source: str,
                resize_positions: bool) -> None:
    """Raise if patches, positions or windows are of another size.

    Says nothing where entries are missing or unexpected, too: strict loading
    lists them.

    Args:
        state: Weights of a backbone.
        own: Weights of the model that loads them.
        source: Name of the file.
        resize_positions: Whether other positions and windows are accepted.

    Raises:
        CheckpointError: They are, with both sizes and what to set.
    """
    weights = {k for k, v in own.items() if v.is_floating_point()}
    if not weights <= state.keys() or any(
            name not in own and not name.endswith('.attn_mask')
            for name in state):
        return
    for end, (words, dim, setting, option) in _SIZES.items():
        if option == 'resize_positions' and resize_positions:
            continue
        for name in filter(lambda name: name.endswith(end), weights):
            if state[name].shape[dim] != own[name].shape[dim]:
                raise CheckpointError(
                    f'"{source}" has {words(state[name])}, but the config '
                    f'builds {words(own[name])}: set {setting} of the '
                    f'backbone to that of the checkpoint, or init_cfg.{option}'
                    '=True to resize.')
