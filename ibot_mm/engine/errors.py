"""End a training that has failed, and say what can be done."""

from pathlib import Path
from typing import NoReturn

from ibot_mm.checkpoints.resume import saved_last

LAST_GOOD = 'last_good.pth'

ADVICE = dict(
    nonfinite='lower the learning rate (optim_wrapper.optimizer.lr) or '
    'lengthen its warm-up, train in bfloat16 or float32 (optim_wrapper.dtype) '
    'and keep clip_grad on',
    uniform='lower the teacher temperatures (default_hooks.'
    'teacher_temperature), check with tools/visualization/browse_crops.py '
    'that the crops still show different things, use a batch of 64 or more, '
    'or allow more patience if the run has just begun',
    one_hot='raise the teacher temperatures (default_hooks.'
    'teacher_temperature), fix the gain of the prototypes '
    '(model.neck.norm_last_layer=True), lower the learning rate, and check '
    'that the momenta of the centres are below 1')


class TrainingHealthError(RuntimeError):
    """The training has failed beyond recovery."""


def stop_training(runner, reason: str, words: str) -> NoReturn:
    """End a training.

    Args:
        runner: The runner.
        reason: Key of the advice.
        words: What happened.

    Raises:
        TrainingHealthError: Always; names the last good checkpoint.
    """
    good = Path(runner.work_dir) / LAST_GOOD
    if reason == 'nonfinite':  # what is not finite is never saved
        good = saved_last(runner.work_dir) or good
    raise TrainingHealthError(
        f'Training stopped at iteration {runner.iter + 1}: {words}. The '
        f'last good checkpoint: {good if good.is_file() else "none"}. '
        f'What to try: {ADVICE[reason]}.')
