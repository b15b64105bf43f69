"""Exponential moving average of the teacher."""

import math

from mmengine.hooks import Hook

from ibot_mm.distributed.unwrap import unwrapped_model
from ibot_mm.engine.schedulers.cosine import cosine_between
from ibot_mm.registry import HOOKS


@HOOKS.register_module()
class TeacherEMAHook(Hook):
    """Update the teacher and the centers after each optimizer step.

    The momentum follows a cosine from ``momentum`` to ``end_momentum`` over
    all steps. Skipped steps update neither the teacher nor the centers.

    Args:
        momentum: Momentum at the start.
        end_momentum: Momentum at the end.

    Raises:
        ValueError: The momentum falls or leaves [0, 1].
    """

    priority = 'ABOVE_NORMAL'

    def __init__(self,
                 momentum: float = 0.996,
                 end_momentum: float = 1.0) -> None:
        if not 0 <= momentum <= end_momentum <= 1:
            raise ValueError('TeacherEMAHook: need 0 <= momentum <= '
                             f'end_momentum <= 1, got {momentum} and '
                             f'{end_momentum}.')
        self.momentum = momentum
        self.end_momentum = end_momentum

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
            momentum = self.momentum_at(runner.iter, runner.max_iters,
                                        wrapper.accumulative_counts)
            model.update_teacher(momentum)
            model.head.update_centers()
            runner.message_hub.update_scalar('train/momentum', momentum)
        elif wrapper.should_update():
            model.head.discard_centers()
