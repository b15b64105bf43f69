"""Closed-form schedules over optimizer steps.

As in the official code, each value is computed from its step: resuming cannot
drift, and the first value may be 0, which MMEngine's recursive schedulers do
not support. A cosine over n steps reaches its end value at step n, one step
after the last.
"""

import math

from mmengine.optim import _ParamScheduler

from ibot_mm.registry import PARAM_SCHEDULERS


def cosine_between(start: float, end: float, step: int, total: int) -> float:
    """Half cosine from ``start`` at step 0 to ``end`` at step ``total``."""
    step = min(step, total)
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * step / total))


class StepScheduler(_ParamScheduler):
    """Base class of schedules with one value per optimizer step.

    MMEngine counts iterations; with gradient accumulation the value changes
    once per optimizer step, as it would with the larger batch.

    Args:
        optimizer: Optimizer wrapper.
        param_name: Key of the parameter groups to set.
        end: Number of iterations.
        **kwargs: As in MMEngine's base class.
    """

    def __init__(self, optimizer, param_name: str, end: int, **kwargs) -> None:
        self.accumulation = getattr(optimizer, 'accumulative_counts', 1)
        super().__init__(optimizer, param_name, end=end, **kwargs)

    @classmethod
    def build_iter_from_epoch(cls, *args, epoch_length: int, end: int,
                              **kwargs):
        """Build from arguments in epochs (``convert_to_iter_based``)."""
        for key in cls.EPOCH_KEYS:
            if kwargs.get(key, 0) > end:
                raise ValueError(
                    f'{cls.__name__}: {key} ({kwargs[key]} epochs) is longer '
                    f'than the run ({end} epochs); lower param_scheduler...'
                    f'{key} or raise train_cfg.max_epochs.')
            if key in kwargs:
                kwargs[key] = kwargs[key] * epoch_length
        kwargs['by_epoch'] = False
        return cls(*args, end=end * epoch_length, **kwargs)

    EPOCH_KEYS: tuple = ()

    @property
    def num_steps(self) -> int:
        """Total number of optimizer steps."""
        return math.ceil(self.end / self.accumulation)

    @property
    def current_step(self) -> int:
        """Optimizer step of the current iteration."""
        return self.last_step // self.accumulation

    def position(self, count: int) -> dict[str, int]:
        """State entries that hold the position in the schedule.

        Args:
            count: Number of finished iterations (epochs if ``by_epoch``).
        """
        last_step = min(count, self.end - 1) - self.begin
        return dict(_global_step=count, last_step=max(last_step, -1))

    def load_state_dict(self, state_dict: dict) -> None:
        """Load the position of a state, then update the optimizer.

        Everything else follows the config: with a larger ``max_epochs`` a
        resumed run is where a run of that length would be.
        """
        super().load_state_dict(self.position(state_dict['_global_step']))
        if self.last_step >= 0:
            for group, value in zip(self.optimizer.param_groups,
                                    self._get_value()):
                group[self.param_name] = value


@PARAM_SCHEDULERS.register_module()
class WarmupCosineLR(StepScheduler):
    """Linear warm-up from 0, then cosine to ``eta_min``.

    The peak is the last step of the warm-up.

    Args:
        optimizer: Optimizer wrapper.
        end: Number of iterations of the run.
        eta_min: Final value of the cosine; not scaled with the batch size.
        eta_min_ratio: If given, the final value of each group is this
            fraction of its peak instead: for layer decay, which scales
            complete schedules.
        warmup: Number of iterations of the warm-up.
        **kwargs: As in MMEngine's base class.

    Raises:
        ValueError: The warm-up is longer than the run.
    """

    EPOCH_KEYS = ('warmup', )

    def __init__(self,
                 optimizer,
                 end: int,
                 eta_min: float = 1e-6,
                 eta_min_ratio: float | None = None,
                 warmup: int = 0,
                 **kwargs) -> None:
        if warmup > end:
            raise ValueError(f'WarmupCosineLR: the warm-up ({warmup}) is '
                             f'longer than the run ({end}).')
        self.eta_min = eta_min
        self.eta_min_ratio = eta_min_ratio
        self.warmup = warmup
        super().__init__(optimizer, 'lr', end, **kwargs)

    def _end_value(self, base: float) -> float:
        return self.eta_min if self.eta_min_ratio is None else (
            base * self.eta_min_ratio)

    def _get_value(self) -> list[float]:
        step = self.current_step
        warmup = self.warmup // self.accumulation
        if step < warmup:
            factor = step / (warmup - 1) if warmup > 1 else 0.
            return [base * factor for base in self.base_values]
        return [
            cosine_between(base, self._end_value(base), step - warmup,
                           self.num_steps - warmup)
            for base in self.base_values
        ]


@PARAM_SCHEDULERS.register_module()
class EpochCosineLR(StepScheduler):
    """Linear warm-up, then cosine, per epoch as in timm's recipes.

    The learning rate of epoch t is start + (lr - start) t / warmup during the
    warm-up and eta_min + (lr - eta_min) (1 + cos(pi t / end)) / 2 after it.

    Args:
        optimizer: Optimizer wrapper.
        end: Number of epochs of the run.
        eta_min: Final learning rate, or the peak if that is lower, so that a
            learning rate scaled to a small batch does not rise.
        warmup: Number of epochs of the warm-up.
        warmup_start: Initial learning rate, or the peak if that is lower.
        **kwargs: As in MMEngine's base class; ``by_epoch`` must be True.
    """

    def __init__(self,
                 optimizer,
                 end: int,
                 eta_min: float = 1e-5,
                 warmup: int = 5,
                 warmup_start: float = 1e-6,
                 **kwargs) -> None:
        self.eta_min = eta_min
        self.warmup = warmup
        self.warmup_start = warmup_start
        super().__init__(optimizer, 'lr', end, **kwargs)

    def _value(self, peak: float) -> float:
        epoch = self.last_step
        if epoch < self.warmup:
            start = min(self.warmup_start, peak)
            return start + (peak - start) * epoch / self.warmup
        return cosine_between(peak, min(self.eta_min, peak), epoch, self.end)

    def _get_value(self) -> list[float]:
        return [self._value(peak) for peak in self.base_values]


@PARAM_SCHEDULERS.register_module()
class CosineWeightDecay(StepScheduler):
    """Cosine schedule of the weight decay; groups with 0 keep it.

    Args:
        optimizer: Optimizer wrapper.
        end: Number of iterations of the run.
        eta_end: Final value of the cosine.
        **kwargs: As in MMEngine's base class.
    """

    def __init__(self, optimizer, end: int, eta_end: float = 0.4,
                 **kwargs) -> None:
        self.eta_end = eta_end
        super().__init__(optimizer, 'weight_decay', end, **kwargs)

    def _get_value(self) -> list[float]:
        return [
            cosine_between(base, self.eta_end, self.current_step,
                           self.num_steps) if base else 0.
            for base in self.base_values
        ]
