"""Warm-up of the teacher's temperatures."""

import numpy as np
from mmengine.hooks import Hook

from ibot_mm.distributed.unwrap import unwrapped_model
from ibot_mm.registry import HOOKS


def warmup_values(start: float, end: float, warmup: int, epochs: int,
                  delay: int = 0) -> list[float]:
    """Values per epoch: ``start`` during the delay, linear, then ``end``.

    Args:
        start: Initial value.
        end: Final value.
        warmup: Number of epochs of the linear part; its last value is
            ``end``.
        epochs: Number of epochs of the run.
        delay: Number of epochs before the linear part.

    Returns:
        ``epochs`` values.

    Raises:
        ValueError: The warm-up is longer than the run.
    """
    if delay + warmup > epochs:
        raise ValueError(
            f'TeacherTemperatureHook: the warm-up ({delay} + {warmup} epochs) '
            f'is longer than the run ({epochs} epochs); lower warmup_epochs.')
    values = [start] * delay + list(np.linspace(start, end, warmup))
    return values + [end] * (epochs - len(values))


@HOOKS.register_module()
class TeacherTemperatureHook(Hook):
    """Set the temperatures of ``IBOTHead`` before each epoch.

    Args:
        warmup_teacher_temp: Initial temperature for CLS tokens.
        teacher_temp: Temperature for CLS tokens after the warm-up.
        warmup_teacher_patch_temp: Initial temperature for patch tokens.
        teacher_patch_temp: Temperature for patch tokens after the warm-up.
        warmup_epochs: Number of epochs of both warm-ups.
        patch_start_epoch: First epoch with masks; delays the warm-up of the
            patch temperature.

    Raises:
        ValueError: A temperature is not positive.
    """

    def __init__(self,
                 warmup_teacher_temp: float = 0.04,
                 teacher_temp: float = 0.07,
                 warmup_teacher_patch_temp: float = 0.04,
                 teacher_patch_temp: float = 0.07,
                 warmup_epochs: int = 30,
                 patch_start_epoch: int = 0) -> None:
        if min(warmup_teacher_temp, teacher_temp, warmup_teacher_patch_temp,
               teacher_patch_temp) <= 0:
            raise ValueError('TeacherTemperatureHook: temperatures must be '
                             'positive.')
        self.cls_range = warmup_teacher_temp, teacher_temp
        self.patch_range = warmup_teacher_patch_temp, teacher_patch_temp
        self.warmup_epochs = warmup_epochs
        self.patch_start_epoch = patch_start_epoch
        self.cls_values: list[float] = []
        self.patch_values: list[float] = []

    def before_train(self, runner) -> None:
        """Compute the values of all epochs."""
        epochs = runner.max_epochs
        self.cls_values = warmup_values(*self.cls_range, self.warmup_epochs,
                                        epochs)
        self.patch_values = warmup_values(*self.patch_range,
                                          self.warmup_epochs, epochs,
                                          self.patch_start_epoch)

    def before_train_epoch(self, runner) -> None:
        """Set the values of this epoch."""
        model = unwrapped_model(runner)
        model.head.teacher_temp = float(self.cls_values[runner.epoch])
        model.head.teacher_patch_temp = float(
            self.patch_values[runner.epoch])
        for name in ('teacher_temp', 'teacher_patch_temp'):
            runner.message_hub.update_scalar(f'train/{name}',
                                             getattr(model.head, name))
