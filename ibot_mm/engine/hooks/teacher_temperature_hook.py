"""Warm up the teacher's temperatures."""


import numpy as np
from mmengine.hooks import Hook

from ibot_mm.distributed.unwrap import unwrapped_model
from ibot_mm.registry import HOOKS


def warmup_values(start: float, end: float, warmup: int, epochs: int,
                  delay: int = 0) -> list[float]:
    """Value for each epoch: ``start`` while delayed, linear, then ``end``.

    Args:
        start: First value.
        end: Last value.
        warmup: Epochs of the linear part; its last value is ``end``.
        epochs: Epochs of the run.
        delay: Epochs before the linear part.

    Returns:
        ``epochs`` values.

    Raises:
        ValueError: The warm-up does not fit in the run.
    """
    if delay + warmup > epochs:
        raise ValueError(
            f'the temperature warm-up ({delay} + {warmup} epochs) is longer '
            f'than the run ({epochs} epochs): lower warmup_epochs of '
            'TeacherTemperatureHook.')
    values = [start] * delay + list(np.linspace(start, end, warmup))
    return values + [end] * (epochs - len(values))


@HOOKS.register_module()
class TeacherTemperatureHook(Hook):
    """Set the temperatures of ``IBOTHead`` at each epoch.

    Args:
        warmup_teacher_temp: Temperature of CLS tokens at the start.
        teacher_temp: The same after the warm-up.
        warmup_teacher_patch_temp: Temperature of patch tokens at the start.
        teacher_patch_temp: The same after the warm-up.
        warmup_epochs: Epochs of both warm-ups.
        patch_start_epoch: Epoch of the first masks; it delays the warm-up of
            the patch temperature.
    """

    def __init__(self,
                 warmup_teacher_temp: float = 0.04,
                 teacher_temp: float = 0.07,
                 warmup_teacher_patch_temp: float = 0.04,
                 teacher_patch_temp: float = 0.07,
                 warmup_epochs: int = 30,
                 patch_start_epoch: int = 0) -> None:
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
