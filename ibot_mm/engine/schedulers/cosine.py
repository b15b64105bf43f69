"""Schedules over optimizer steps, in closed form.

The official code computes each value from its step, so resuming cannot drift
and the first value may be 0, which the host's recursive schedulers do not
allow. A cosine of n values ends one short of its end value.
"""

import math

from mmengine.optim import _ParamScheduler

from ibot_mm.registry import PARAM_SCHEDULERS


def cosine_between(start: float, end: float, step: int, total: int) -> float:
    """Value of a half cosine from ``start`` (step 0) to ``end`` (total)."""
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * step / total))


class StepScheduler(_ParamScheduler):
    """Base: a value for each optimizer step from 0 to ``end``.

    With gradient accumulation the host counts iterations; the value then
    changes once for each optimizer step, as it would with the larger batch.

    Args:
        optimizer: Optimizer wrapper.
        param_name: Entry of the parameter groups to set.
        end: Number of iterations.
        **kwargs: As in MMEngine's base class.
    """

    def __init__(self, optimizer, param_name: str, end: int, **kwargs) -> None:
        self.accumulation = getattr(optimizer, 'accumulative_counts', 1)
        super().__init__(optimizer, param_name, end=end, **kwargs)

    @classmethod
    def build_iter_from_epoch(cls, *args, epoch_length: int, end: int,
                              **kwargs):
        """Build with arguments in epochs (``convert_to_iter_based``)."""
        for key in cls.EPOCH_KEYS:
            if key in kwargs:
                kwargs[key] = kwargs[key] * epoch_length
        kwargs['by_epoch'] = False
        return cls(*args, end=end * epoch_length, **kwargs)

    EPOCH_KEYS: tuple = ()

    @property
    def num_steps(self) -> int:
        """Optimizer steps in all."""
        return math.ceil(self.end / self.accumulation)

    @property
    def current_step(self) -> int:
        """Optimizer step that the current iteration belongs to."""
        return self.last_step // self.accumulation

    def position(self, count: int) -> dict[str, int]:
        """The part of the state that says where the schedule is.

        Args:
            count: Iterations (epochs, if ``by_epoch``) that are done.
        """
        last_step = min(count, self.end - 1) - self.begin
        return dict(_global_step=count, last_step=max(last_step, -1))

    def load_state_dict(self, state_dict: dict) -> None:
        """Load a state, or a position only, and set the values it has.

        What a position does not hold, the values that a schedule starts from
        among it, stays what config and batch in use made it; the values that
        the optimizer holds may be others.
        """
        super().load_state_dict(state_dict)
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
        end: Length of the run.
        eta_min: Value the cosine runs to; not scaled with the batch size.
        eta_min_ratio: If given, the cosine of each group runs to this share
            of its peak instead: for layer decay, which scales whole
            schedules.
        warmup: Length of the warm-up.
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
            share = step / (warmup - 1) if warmup > 1 else 0.
            return [base * share for base in self.base_values]
        return [
            cosine_between(base, self._end_value(base), step - warmup,
                           self.num_steps - warmup)
            for base in self.base_values
        ]


@PARAM_SCHEDULERS.register_module()
class EpochCosineLR(StepScheduler):
    """Warm-up from a small rate, then cosine, as timm's recipes by epoch.

    The rate of epoch t is start + (lr - start) t / warmup during the warm-up
    and eta_min + (lr - eta_min) (1 + cos(pi t / end)) / 2 after it.

    Args:
        optimizer: Optimizer wrapper.
        end: Epochs of the run.
        eta_min: Rate that the cosine runs to, or the peak if that is lower,
            so that a rate scaled to a small batch does not rise.
        warmup: Epochs of the warm-up.
        warmup_start: Rate that it starts from, or the peak if that is lower.
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
    """Cosine of the weight decay; groups that start at 0 stay there.

    Args:
        optimizer: Optimizer wrapper.
        end: Length of the run.
        eta_end: Value the cosine runs to.
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
