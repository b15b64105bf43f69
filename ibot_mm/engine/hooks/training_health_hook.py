"""Detect collapsed or diverged pre-training."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from torch import Tensor

from ibot_mm.checkpoints.atomic_write import hard_link
from ibot_mm.checkpoints.resume import saved_last
from ibot_mm.distributed.dtensor import to_local
from ibot_mm.distributed.unwrap import unwrapped_model
from ibot_mm.engine.token_statistics import NAMES, TokenStatistics
from ibot_mm.registry import HOOKS

LAST_GOOD = 'last_good.pth'
# What happened -> what to try.
ADVICE = dict(
    nonfinite='lower the learning rate (optim_wrapper.optimizer.lr), lengthen '
    'its warm-up, or train in float32 (optim_wrapper.dtype)',
    uniform='lower the teacher temperatures (default_hooks.'
    'teacher_temperature), use a batch of 64 or more, or raise patience',
    one_hot='raise the teacher temperatures (default_hooks.'
    'teacher_temperature), or set model.neck.norm_last_layer=True')


class TrainingHealthError(RuntimeError):
    """The training has collapsed or diverged."""


def stop_training(runner, reason: str, words: str) -> NoReturn:
    """Raise an error that names the last good checkpoint and what to try.

    Args:
        runner: The runner.
        reason: Key of ``ADVICE``.
        words: What happened.

    Raises:
        TrainingHealthError: Always.
    """
    good = Path(runner.work_dir, LAST_GOOD)
    if reason == 'nonfinite':  # non-finite weights are never saved
        good = saved_last(runner.work_dir) or good
    raise TrainingHealthError(
        f'Training stopped at iteration {runner.iter + 1}: {words}. The last '
        f'good checkpoint: {good if good.is_file() else "none"}. Try this: '
        f'{ADVICE[reason]} (docs/training_health.md).')


@HOOKS.register_module()
class TrainingHealthHook(Hook):
    """Log statistics, and stop a collapsed or diverged training.

    In ``samples`` iterations of each ``interval`` the hook attaches
    ``TokenStatistics`` to the head. At the interval it logs their means and
    the fraction of prototypes in use, and stops the training, on all ranks, if

    - a weight is non-finite, or
    - the mean entropy of the teacher, of CLS tokens or of patches, was within
      ``tolerance`` x log K of 0 or of log K for ``patience`` iterations.

    Non-finite weights are never saved. The latest checkpoint of a healthy
    interval is also linked as ``last_good.pth`` in the work directory, which
    ``max_keep_ckpts`` does not remove. Counts restart on resume.

    Args:
        interval: Iterations between checks.
        samples: Iterations with statistics per interval.
        patience: Iterations of a collapse before the training stops; 'auto'
            for 10,000, or half of a run that has fewer than 20,000, but at
            least 500, because a network may start with uniform
            distributions; None for no limit.
        tolerance: Distance from 0 or log K, as a fraction of log K.

    Raises:
        ValueError: A number is out of range.
    """

    # Before LoggerHook, which writes what this logs, and CheckpointHook.
    priority = 'NORMAL'

    def __init__(self,
                 interval: int = 50,
                 samples: int = 5,
                 patience: int | str | None = 'auto',
                 tolerance: float = 0.01) -> None:
        if not (1 <= samples <= interval and 0 < tolerance < 0.5):
            raise ValueError(
                f'TrainingHealthHook: samples ({samples}) must be 1 to '
                f'interval ({interval}), tolerance ({tolerance}) between 0 '
                'and 0.5.')
        self.interval = interval
        self.samples = samples
        self.auto_patience = patience == 'auto'
        self.patience = (10000 if patience == 'auto' else
                         math.inf if patience is None else patience)
        self.tolerance = tolerance
        self.bad_weights = 0
        # Iterations that each kind of collapse has lasted.
        self.collapsed: dict[str, int] = dict(uniform=0, one_hot=0)
        self.statistics = TokenStatistics()
        self._samples: list[Tensor] = []
        self._judged_checkpoint: Path | None = None

    def before_train(self, runner) -> None:
        """Fit the patience to the run.

        The checkpoint of an earlier process, of unknown health, is ignored.
        """
        self.fit_patience(runner.max_iters)
        self._judged_checkpoint = saved_last(runner.work_dir)

    def fit_patience(self, max_iters: float) -> None:
        """Set a patience of 'auto' for a run of that many iterations."""
        if self.auto_patience:
            self.patience = min(self.patience, max(max_iters / 2, 500))

    def collapses(self, entropies: Sequence[float]) -> dict[str, bool]:
        """Which kinds of collapse the entropies of one moment show.

        Args:
            entropies: Of CLS tokens and of patches where there are masks, as
                fractions of log K.
        """
        return dict(uniform=max(entropies) > 1 - self.tolerance,
                    one_hot=min(entropies) < self.tolerance)

    def before_train_iter(self, runner, batch_idx: int,
                          data_batch=None) -> None:
        """Attach the statistics to the head in some iterations."""
        from_end = self.interval - 1 - runner.iter % self.interval
        stride = self.interval // self.samples
        sampled = from_end % stride == 0 and from_end < stride * self.samples
        unwrapped_model(runner).head.observer = (
            self.statistics if sampled else None)

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs: dict | None = None) -> None:
        """Collect statistics; log and check at the interval.

        Raises:
            TrainingHealthError: The training has collapsed or diverged.
        """
        model = unwrapped_model(runner)
        if model.head.observer is not None:
            self._samples.append(
                torch.stack(list(self.statistics.compute().values())))
        if (runner.iter + 1) % self.interval == 0:
            self._update(runner, model)
            self._judge(runner)

    @torch.no_grad()
    def _update(self, runner, model: torch.nn.Module) -> None:
        """Log; update the counts, which are maxima over all ranks."""
        norms = torch._foreach_norm(to_local(model.parameters()))
        *means, norm = torch.cat([
            # nanmean: statistics of skipped steps may be non-finite.
            torch.stack(self._samples).nanmean(0).float(),
            torch.stack(norms).norm().reshape(1).float()
        ]).tolist()
        self._samples = []
        # Without masks there are no statistics of patches.
        means = {name: mean for name, mean in zip(NAMES, means)
                 if not math.isnan(mean)}
        for name, mean in means.items():
            runner.message_hub.update_scalar(f'train/{name}', mean)
        relative = []
        for kind, center in (('cls', model.head.center),
                             ('patch', model.head.patch_center)):
            runner.message_hub.update_scalar(
                f'train/prototypes_{kind}',
                float(self.statistics.usage[kind].fraction_used()))
            if f'entropy_{kind}' in means:
                relative.append(
                    means[f'entropy_{kind}'] / math.log(len(center.value)))
        if relative:
            for name, collapsed in self.collapses(relative).items():
                self.collapsed[name] = (self.collapsed[name] +
                                        self.interval) * collapsed
        counts = torch.tensor(
            [not math.isfinite(norm), *self.collapsed.values()])
        all_reduce(counts, op='max')
        self.bad_weights, *collapsed = counts.tolist()
        self.collapsed = dict(zip(self.collapsed, collapsed))

    def _judge(self, runner) -> None:
        if self.bad_weights:
            stop_training(runner, 'nonfinite', 'a weight is non-finite')
        for name, words in (('uniform', 'uniform (their entropy is log K)'),
                            ('one_hot', 'one-hot (their entropy is 0)')):
            if self.collapsed[name] >= self.patience:
                stop_training(
                    runner, name,
                    "the teacher's distributions have been " + words +
                    f' for {self.collapsed[name]} iterations')
        latest = saved_last(runner.work_dir)
        if (runner.rank or any(self.collapsed.values()) or not latest
                or latest == self._judged_checkpoint):
            return
        try:
            hard_link(latest, Path(runner.work_dir, LAST_GOOD))
        except OSError as error:  # tried again at the next interval
            runner.logger.error(f'{LAST_GOOD} could not be saved: {error}')
        else:
            self._judged_checkpoint = latest

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Do not save non-finite weights.

        Raises:
            TrainingHealthError: A weight is non-finite.
        """
        for name, value in checkpoint['state_dict'].items():
            if value.is_floating_point() and not value.isfinite().all():
                stop_training(runner, 'nonfinite',
                              f'"{name}" is non-finite and was not saved')
