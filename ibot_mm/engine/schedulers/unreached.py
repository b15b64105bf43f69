"""Schedules that a run is too short for."""

from collections.abc import Iterator, Sequence

from mmengine.optim import _ParamScheduler

NO_END = int(1e9)  # the default of MMEngine


def unreached(schedulers: Sequence[_ParamScheduler], max_epochs: int,
              max_iters: int) -> Iterator[str]:
    """Describe schedules that are longer than the run.

    Those of MMDetection and MMSegmentation are in iterations: a shorter run
    may end within the warm-up.

    Args:
        schedulers: Those of the run, in the order of ``param_scheduler``.
        max_epochs: Number of epochs of the run.
        max_iters: Number of iterations of the run.

    Yields:
        A sentence for each of them that names key and numbers.
    """
    for index, scheduler in enumerate(schedulers):
        unit, length = (('epoch', max_epochs) if scheduler.by_epoch else
                        ('iteration', max_iters))
        for key, value, needed in _lengths(scheduler):
            if length < needed < NO_END:
                yield (f'param_scheduler.{index} ({type(scheduler).__name__}) '
                       f'has {key}={value}, but the run ends at {unit} '
                       f'{length}, before it gets there: adapt {key}, or '
                       'train longer.')


def _lengths(scheduler: _ParamScheduler) -> Iterator[tuple]:
    """Key, value and the length of the run that a scheduler needs."""
    begin = scheduler.begin
    if milestones := sorted(getattr(scheduler, 'milestones', [])):
        # The step from which on the value is another.
        yield 'milestones', milestones, begin + milestones[-1] + 1
    for key in ('warmup', 'T_max', 'total_steps', 'step_size'):
        if value := getattr(scheduler, key, 0):
            yield key, value, begin + value
    if hasattr(scheduler, 'total_iters'):  # the others have no end
        yield 'end', scheduler.end, scheduler.end
