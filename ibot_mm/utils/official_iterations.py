"""How far an official run has come: its files count epochs only."""

import math
from typing import Any, Dict, Optional

from .safe_load import CheckpointError


def steps_taken(checkpoint: Dict[str, Any]) -> int:
    """Steps of a parameter that was never frozen, as Adam counted them."""
    states = checkpoint['optimizer']['state'].values()
    return max((int(state['step']) for state in states), default=0)


def steps_of_weight_decay(checkpoint: Dict[str, Any]) -> Optional[int]:
    """Steps of an epoch, from the weight decay that the last step had.

    On a cosine over T epochs of n steps the last step of epoch E is at
    x = (E n - 1) / (T n) of the run, and so n = 1 / (E - x T).

    Args:
        checkpoint: A full official one; its ``args`` describe the cosine.

    Returns:
        n, or None where the file does not tell.
    """
    args, epoch = checkpoint.get('args'), checkpoint['epoch']
    try:
        start, end = args.weight_decay, args.weight_decay_end
        now = checkpoint['optimizer']['param_groups'][0]['weight_decay']
        x = math.acos(2 * (now - end) / (start - end) - 1) / math.pi
        steps = 1 / (epoch - x * args.epochs)
    except (AttributeError, TypeError, ValueError, ZeroDivisionError):
        return None
    # Close to the end of the run rounding leaves no whole number.
    return round(steps) if abs(steps - round(steps)) < 0.1 else None


def steps_of_epoch(checkpoint: Dict[str, Any],
                   given: Optional[int] = None) -> int:
    """Optimizer steps of an epoch of an official run.

    Adam's count says so, except in float16, where it lacks the steps that the
    loss scaler skipped.

    Args:
        checkpoint: A full official one.
        given: The number, if it is known.

    Raises:
        CheckpointError: The file does not tell, or contradicts ``given``.
    """
    epoch, taken = checkpoint['epoch'], steps_taken(checkpoint)
    steps = given
    if given is None and checkpoint.get('fp16_scaler'):
        steps = steps_of_weight_decay(checkpoint)
    elif given is None and taken % epoch == 0:
        steps = taken // epoch
    # A scaler skips few steps: a tenth, and some to find its first scale.
    if not steps or not 0 <= steps * epoch - taken <= 50 + taken // 10:
        reason = 'do not tell how many an epoch has' if given is None else (
            f'contradict an epoch of {given}')
        raise CheckpointError(
            f'{taken} steps of Adam in {epoch} epochs {reason}: give '
            '--epoch-length, the images divided by the batch of all GPUs, '
            'rounded down.')
    return steps
