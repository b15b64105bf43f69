"""Which of a ViT's outputs go through its final norm."""

from typing import Dict, List, Optional, Sequence, Union

OutWithNorm = Optional[Union[bool, Sequence[bool]]]


def norm_flags(out_with_norm: OutWithNorm, count: int,
               final_norm: bool) -> Optional[List[bool]]:
    """One flag for each output, or None where the host's rule holds.

    Args:
        out_with_norm: One flag for all outputs or one for each.
        count: Number of outputs.
        final_norm: Whether the backbone is to have a final norm.

    Returns:
        ``count`` flags.

    Raises:
        ValueError: There are more or fewer flags than outputs, or a norm is
            asked for that the backbone is told not to have.
    """
    if out_with_norm is None:
        return None
    flags = ([out_with_norm] * count if isinstance(out_with_norm, bool) else
             [bool(flag) for flag in out_with_norm])
    if len(flags) != count:
        raise ValueError(f'IBOTViT: out_with_norm has {len(flags)} flags for '
                         f'{count} out_indices.')
    if any(flags) and not final_norm:
        raise ValueError('IBOTViT: out_with_norm asks for the final norm, '
                         'which final_norm=False removes.')
    return flags


def norms_by_layer(out_indices: Sequence[int], flags: Optional[List[bool]],
                   num_layers: int, final_norm: bool) -> Dict[int, bool]:
    """Whether the output of each layer in ``out_indices`` is normed.

    Without flags it is the last layer's alone, as in the host.

    Args:
        out_indices: Layers, counted from 0.
        flags: What :func:`norm_flags` gave.
        num_layers: Layers of the backbone.
        final_norm: Whether the backbone has a final norm.

    Returns:
        Flags by layer.

    Raises:
        ValueError: The layers do not ascend, or one does not exist: the
            outputs come in the order of the layers.
    """
    ascending = all(a < b for a, b in zip(out_indices, out_indices[1:]))
    if not ascending or (out_indices and out_indices[-1] >= num_layers):
        raise ValueError(
            'IBOTViT: out_indices must ascend and name layers from 0 to '
            f'{num_layers - 1}, got {list(out_indices)}.')
    if flags is None:
        flags = [
            final_norm and index == num_layers - 1 for index in out_indices
        ]
    return dict(zip(out_indices, flags))
