"""Exponential moving average of the teacher."""

import math
from itertools import accumulate
from operator import mul

from mmengine.config import Config
from mmengine.hooks import Hook

from ibot_mm.checkpoints.unread import pretrained_cfg
from ibot_mm.distributed.unwrap import unwrapped_model
from ibot_mm.engine.schedulers.cosine import cosine_between
from ibot_mm.registry import HOOKS

# Share of initial weights at the end of a run above which the log warns.
HIGH_SHARE = 0.1
ADVICE = ('lower default_hooks.teacher_ema.momentum, set its '
          'max_initial_share, or train longer (docs/schedules.md)')


def randomly_initialized(cfg: Config) -> str:
    """What of the teacher starts with random weights; '' for nothing."""
    if cfg.get('load_from') and not cfg.get('resume'):
        return ''
    model = cfg.get('model', {})  # none in runs that Python has built
    backbone, neck = (pretrained_cfg(model.get(part))
                      for part in ('backbone', 'neck'))
    if not backbone:
        return 'the teacher'
    return '' if neck else "the teacher's projection head"


@HOOKS.register_module()
class TeacherEMAHook(Hook):
    """Update the teacher and the centers after each optimizer step.

    The momentum follows a cosine from ``momentum`` to ``end_momentum`` over
    all steps. Steps that are skipped for a non-finite loss, or by the loss
    scaler, update neither the teacher nor the centers.

    The product of all momenta so far is the share of the initial weights
    that is left in the teacher. The log has it as
    ``teacher_initial_share``, and the run warns at its start if more than a
    tenth would be left at its end. It does not warn about weights from a
    checkpoint.

    Args:
        momentum: Momentum at the start.
        end_momentum: Momentum at the end.
        max_initial_share: If given, ``momentum`` is lowered where the run is
            too short to leave at most this share of the initial weights in
            the teacher, e.g. 0.01.
        still_epochs: Number of epochs at the start in which the teacher
            keeps its weights (a momentum of 1), while the centers follow its
            outputs: for a pre-training that continues from a backbone. The
            cosine runs on meanwhile.

    Raises:
        ValueError: The momentum falls or leaves [0, 1], or the share leaves
            (0, 1).
    """

    priority = 'ABOVE_NORMAL'

    def __init__(self,
                 momentum: float = 0.996,
                 end_momentum: float = 1.0,
                 max_initial_share: float | None = None,
                 still_epochs: int = 0) -> None:
        if not 0 <= momentum <= end_momentum <= 1:
            raise ValueError('TeacherEMAHook: need 0 <= momentum <= '
                             f'end_momentum <= 1, got {momentum} and '
                             f'{end_momentum}.')
        if max_initial_share is not None and not 0 < max_initial_share < 1:
            raise ValueError('TeacherEMAHook: max_initial_share must be '
                             f'between 0 and 1, got {max_initial_share}.')
        self.momentum = momentum
        self.end_momentum = end_momentum
        self.max_initial_share = max_initial_share
        self.still_epochs = still_epochs
        self._still = False
        # After each optimizer step of the run.
        self.initial_shares: list[float] = []

    def before_train(self, runner) -> None:
        """Fit the momentum to the length of the run."""
        accumulation = runner.optim_wrapper.accumulative_counts
        steps = math.ceil(runner.max_iters / accumulation)
        still = self.still_epochs and (
            self.still_epochs * steps // runner.max_epochs)
        if self.max_initial_share is not None and still < steps:
            # prod(m) <= exp(-sum(1 - m)), over the steps after the teacher
            # stood still for the first part of the run.
            part = still / steps
            lost = -math.log(self.max_initial_share) / steps
            cosine = (1 - part - math.sin(math.pi * part) / math.pi) / 2
            fitting = max(0., self.end_momentum - (
                lost - (1 - part) * (1 - self.end_momentum)) / cosine)
            if fitting < self.momentum:
                runner.logger.info(
                    f'The run has {steps} steps: the teacher momentum starts '
                    f'at {fitting:.5g}, not at {self.momentum:g}, so that at '
                    f'most {self.max_initial_share:.0%} of its initial '
                    'weights are left at the end.')
                self.momentum = fitting
        self.initial_shares = list(accumulate(
            (1. if step < still else self.momentum_at(step, steps)
             for step in range(steps)), mul))
        part = randomly_initialized(runner.cfg)
        if part and self.initial_shares[-1] > HIGH_SHARE:
            runner.logger.warning(
                f'At the end of the run, after {steps} steps, '
                f'{self.initial_shares[-1]:.0%} of {part} are still its '
                f'initial, random weights: {ADVICE}.')

    def before_train_epoch(self, runner) -> None:
        """Find out whether the teacher keeps its weights in this epoch."""
        self._still = runner.epoch < self.still_epochs

    def momentum_at(self, iteration: int, max_iters: int,
                    accumulation: int = 1) -> float:
        """Momentum of the optimizer step at an iteration."""
        return cosine_between(self.momentum, self.end_momentum,
                              iteration // accumulation,
                              math.ceil(max_iters / accumulation))

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs=None) -> None:
        """Update teacher and centers if the optimizer made a step."""
        wrapper = runner.optim_wrapper
        model = unwrapped_model(runner)
        if wrapper.stepped:
            momentum = 1. if self._still else (
                self.momentum_at(runner.iter, runner.max_iters,
                                 wrapper.accumulative_counts))
            model.update_teacher(momentum)
            model.head.update_centers()
            runner.message_hub.update_scalar('train/momentum', momentum)
            if self.initial_shares:
                step = min(runner.iter // wrapper.accumulative_counts,
                           len(self.initial_shares) - 1)
                runner.message_hub.update_scalar(
                    'train/teacher_initial_share', self.initial_shares[step])
        elif wrapper.should_update():
            model.head.discard_centers()
