"""Judge whether a pre-training is still worth its cost."""

import math
import os
import shutil
from pathlib import Path
from typing import Dict, List, Optional

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import Tensor

from ibot_mm.registry import HOOKS

LAST_GOOD = 'last_good.pth'


def latest_checkpoint(work_dir: str) -> Optional[str]:
    """The checkpoint that ``CheckpointHook`` saved last, if it is there."""
    record = Path(work_dir) / 'last_checkpoint'
    path = record.read_text().strip() if record.is_file() else ''
    return path if path and Path(path).is_file() else None


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


@HOOKS.register_module()
class TrainingHealthHook(Hook):
    """Log what the prototypes do, and stop a training that has failed.

    In some iterations (``samples`` of each ``interval``) the head computes
    the statistics of ``token_statistics``. At the interval, with one transfer
    from the device, the hook logs the share of prototypes in use and stops
    the training when

    - the loss was not finite ``max_nonfinite`` times in a row, or
    - the mean entropy of the teacher, of CLS tokens or of patches, was within
      ``tolerance`` x log K of 0 or of log K for ``patience`` iterations.

    Weights that are not finite are never saved. While a collapse is suspected
    the latest checkpoint from before it is kept as ``last_good.pth`` in the
    work directory, where ``max_keep_ckpts`` does not reach.

    Args:
        interval: Iterations between judgements.
        samples: Iterations of an interval that have statistics.
        max_nonfinite: Losses in a row that are not finite.
        patience: Iterations of a collapse before the training stops; None for
            no limit. A network may start with uniform distributions.
        tolerance: Distance from 0 or log K, as a share of log K.

    Raises:
        ValueError: A number is out of range.
    """

    # Before LoggerHook, which writes what this logs, and CheckpointHook.
    priority = 'NORMAL'

    def __init__(self,
                 interval: int = 50,
                 samples: int = 5,
                 max_nonfinite: int = 10,
                 patience: Optional[int] = 10000,
                 tolerance: float = 0.01) -> None:
        if not 1 <= samples <= interval:
            raise ValueError('TrainingHealthHook: samples must be 1 to '
                             f'interval ({interval}), got {samples}.')
        if not 0 < tolerance < 0.5:
            raise ValueError('TrainingHealthHook: tolerance must lie between '
                             f'0 and 0.5, got {tolerance}.')
        self.interval = interval
        self.samples = samples
        self.max_nonfinite = max_nonfinite
        self.patience = math.inf if patience is None else patience
        self.tolerance = tolerance
        self.nonfinite = 0
        self.collapsed: Dict[str, int] = dict(uniform=0, one_hot=0)
        self._losses: List[Tensor] = []
        self._entropies: List[Tensor] = []
        self._last_good: Optional[str] = None

    @staticmethod
    def _head(runner):
        model = runner.model
        return (model.module if is_model_wrapper(model) else model).head

    def before_train_iter(self, runner, batch_idx: int,
                          data_batch=None) -> None:
        """Ask the head for statistics in some iterations."""
        from_end = self.interval - 1 - runner.iter % self.interval
        stride = self.interval // self.samples
        self._head(runner).monitor = (
            from_end % stride == 0 and from_end < stride * self.samples)

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs: Optional[dict] = None) -> None:
        """Keep what is to be judged; judge at the interval.

        Raises:
            TrainingHealthError: The training has failed.
        """
        head = self._head(runner)
        self._losses.append(outputs['loss'].detach())
        if head.monitor:
            relative = [
                outputs[f'entropy_{kind}'] / math.log(len(center))
                for kind, center in (('cls', head.center),
                                     ('patch', head.patch_center))
                if f'entropy_{kind}' in outputs
            ]
            self._entropies.append(
                torch.stack([min_or_max(torch.stack(relative))
                             for min_or_max in (torch.amin, torch.amax)]))
        if (runner.iter + 1) % self.interval == 0:
            self._log_usage(runner, head)
            self._judge(runner)

    def _log_usage(self, runner, head) -> None:
        for kind, usage in head.usage.items():
            runner.message_hub.update_scalar(f'train/prototypes_{kind}',
                                             float(usage.share()))

    def _update_counts(self) -> None:
        """Lengths in iterations of what goes on, the worst of all ranks."""
        for loss in torch.stack(self._losses).tolist():
            self.nonfinite = 0 if math.isfinite(loss) else self.nonfinite + 1
        lowest, highest = torch.stack(self._entropies).mean(0).tolist()
        for name, there in (('uniform', highest > 1 - self.tolerance),
                            ('one_hot', lowest < self.tolerance)):
            self.collapsed[name] = (self.collapsed[name] +
                                    self.interval) if there else 0
        self._losses, self._entropies = [], []
        counts = torch.tensor([self.nonfinite, *self.collapsed.values()])
        all_reduce(counts, op='max')
        self.nonfinite, *collapsed = counts.tolist()
        self.collapsed = dict(zip(self.collapsed, collapsed))

    def _judge(self, runner) -> None:
        self._update_counts()
        if self.nonfinite >= self.max_nonfinite:
            self._stop(
                runner, 'nonfinite',
                f'the last {self.nonfinite} losses were not finite')
        self._guard_checkpoint(runner)
        for name, words in (('uniform', 'uniform (their entropy is log K)'),
                            ('one_hot', 'one-hot (their entropy is 0)')):
            if self.collapsed[name] >= self.patience:
                self._stop(
                    runner, name,
                    f"for {self.collapsed[name]} iterations the teacher's "
                    f'distributions have been {words}')

    def _guard_checkpoint(self, runner) -> None:
        """Remember the latest good checkpoint; link it while in doubt."""
        if runner.rank != 0:
            return
        guard = Path(runner.work_dir) / LAST_GOOD
        if not any(self.collapsed.values()) and not self.nonfinite:
            self._last_good = latest_checkpoint(runner.work_dir)
            guard.unlink(missing_ok=True)
        elif self._last_good and not guard.exists():
            try:
                os.link(self._last_good, guard)
            except OSError:  # a file system without hard links
                shutil.copy(self._last_good, guard)

    def _stop(self, runner, reason: str, words: str) -> None:
        guard = Path(runner.work_dir) / LAST_GOOD
        good = str(guard) if guard.exists() else self._last_good
        if reason == 'nonfinite':  # what is not finite is never saved
            good = good or latest_checkpoint(runner.work_dir)
        raise TrainingHealthError(
            f'Training stopped at iteration {runner.iter + 1}: {words}. '
            f'The last good checkpoint: {good or "none"}. '
            f'What to try: {ADVICE[reason]}.')

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Refuse to save weights that are not finite.

        Raises:
            TrainingHealthError: A weight is not finite.
        """
        for name, value in checkpoint['state_dict'].items():
            if value.is_floating_point() and not torch.isfinite(value).all():
                self._stop(runner, 'nonfinite',
                           f'"{name}" is not finite and was not saved')
