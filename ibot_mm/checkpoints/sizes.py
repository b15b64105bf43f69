"""Patches, positions and windows of a checkpoint that a model has not."""

import math

from torch import Tensor

from .load import CheckpointError
from .official.state_dict import State
from .strict import KERNEL


def check_sizes(state: State, own: State, source: str,
                resize_positions: bool) -> None:
    """Raise if patches, positions or windows are of another size.

    Where the number of channels or the width differ, too, nothing is said
    here: strict loading names the architectures.

    Args:
        state: Weights of a backbone.
        own: Weights of the model that loads them.
        source: Name of the file.
        resize_positions: Whether other positions and windows are accepted.

    Raises:
        CheckpointError: They are, with both sizes and what to set.
    """
    # Another patch size makes another grid, so patches come first.
    for name in sorted(state, key=lambda name: name != KERNEL):
        value = state[name]
        wanted = own.get(name)
        if wanted is None or value.shape == wanted.shape:
            continue
        if name == KERNEL and 'pos_embed' in own:
            kind, option, setting = 'patches', 'resize_patches', 'patch_size'
            same = value.shape[:2] == wanted.shape[:2]
            sizes = [_pixels(kernel) for kernel in (value, wanted)]
        elif resize_positions:
            continue
        elif name == 'pos_embed':
            kind, option, setting = 'positions', 'resize_positions', 'img_size'
            same = value.shape[-1] == wanted.shape[-1]
            sizes = [_grid(positions) for positions in (value, wanted)]
        elif name.endswith('relative_position_bias_table'):
            kind, option = 'windows', 'resize_positions'
            setting = 'window_size and img_size'
            same = value.shape[-1] == wanted.shape[-1]
            sizes = [_window(table) for table in (value, wanted)]
        else:
            continue
        if same:
            raise CheckpointError(
                f'"{source}" has {kind} of {sizes[0]}, but the config builds '
                f'{sizes[1]}: set {setting} of the backbone to that of the '
                f'checkpoint, or init_cfg.{option}=True to resize.')


def _pixels(kernel: Tensor) -> str:
    return '{}x{} pixels'.format(*kernel.shape[2:])


def _grid(pos_embed: Tensor) -> str:
    count = pos_embed.shape[1] - 1
    side = math.isqrt(count)
    return f'{side}x{side} patches' if side**2 == count else f'{count} patches'


def _window(table: Tensor) -> str:
    side = (math.isqrt(len(table)) + 1) // 2
    return f'{side}x{side} tokens'
