"""Move the teacher after each optimizer step."""

import math

from mmengine.hooks import Hook

from ibot_mm.distributed.unwrap import unwrapped_model
from ibot_mm.engine.schedulers.cosine import cosine_between
from ibot_mm.registry import HOOKS


@HOOKS.register_module()
class TeacherEMAHook(Hook):
    """Exponential moving average and centers, once an optimizer step.

    The momentum goes from ``momentum`` to ``end_momentum`` on a cosine over
    all steps. A step that the loss scaler skipped moves neither the teacher
    nor the centers.

    Args:
        momentum: Momentum at the start.
        end_momentum: Momentum that the cosine runs to.
    """

    priority = 'ABOVE_NORMAL'

    def __init__(self,
                 momentum: float = 0.996,
                 end_momentum: float = 1.0) -> None:
        if not 0 <= momentum <= end_momentum <= 1:
            raise ValueError('TeacherEMAHook: momentum must rise within 0 to '
                             f'1, got {momentum} to {end_momentum}.')
        self.momentum = momentum
        self.end_momentum = end_momentum

    def momentum_at(self, iteration: int, max_iters: int,
                    accumulation: int = 1) -> float:
        """Momentum of the optimizer step that an iteration belongs to."""
        return cosine_between(self.momentum, self.end_momentum,
                              iteration // accumulation,
                              math.ceil(max_iters / accumulation))

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs=None) -> None:
        """Move teacher and centers if the weights moved."""
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
