"""Judge whether a pre-training is still worth its cost."""

import math
import os
import shutil
from pathlib import Path

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from torch import Tensor

from ibot_mm.checkpoints.atomic_write import atomic_write
from ibot_mm.checkpoints.resume import saved_last
from ibot_mm.distributed.dtensor import to_local
from ibot_mm.distributed.unwrap import unwrapped_model
from ibot_mm.engine.errors import LAST_GOOD, stop_training
from ibot_mm.registry import HOOKS


def keep(source: Path, target: Path) -> None:
    """Make ``target`` a second name of a file (a copy where that fails)."""
    with atomic_write(target) as new:
        new.unlink(missing_ok=True)  # a second name of an older one
        try:
            os.link(source, new)
        except OSError:  # a file system without hard links
            shutil.copy(source, new)


@HOOKS.register_module()
class TrainingHealthHook(Hook):
    """Log what the prototypes do, and stop a training that has failed.

    In some iterations (``samples`` of each ``interval``) the head computes
    the statistics of ``token_statistics``. At the interval the hook logs the
    share of prototypes in use and stops the training, on all ranks, when

    - a weight is not finite, or
    - the mean entropy of the teacher, of CLS tokens or of patches, was within
      ``tolerance`` x log K of 0 or of log K for ``patience`` iterations.

    Weights that are not finite are never saved. The latest checkpoint from a
    healthy time has a second name, ``last_good.pth`` in the work directory,
    where ``max_keep_ckpts`` does not reach. Counts start anew on resuming.

    Args:
        interval: Iterations between judgements.
        samples: Iterations of an interval that have statistics.
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
                 patience: int | None = 10000,
                 tolerance: float = 0.01) -> None:
        if not 1 <= samples <= interval:
            raise ValueError('TrainingHealthHook: samples must be 1 to '
                             f'interval ({interval}), got {samples}.')
        if not 0 < tolerance < 0.5:
            raise ValueError('TrainingHealthHook: tolerance must lie between '
                             f'0 and 0.5, got {tolerance}.')
        self.interval = interval
        self.samples = samples
        self.patience = math.inf if patience is None else patience
        self.tolerance = tolerance
        self.bad_weights = 0
        self.collapsed: dict[str, int] = dict(uniform=0, one_hot=0)
        self._entropies: list[Tensor] = []
        self._judged_checkpoint: Path | None = None

    def before_train(self, runner) -> None:
        """A checkpoint from before this process says nothing about it."""
        self._judged_checkpoint = saved_last(runner.work_dir)

    def before_train_iter(self, runner, batch_idx: int,
                          data_batch=None) -> None:
        """Ask the head for statistics in some iterations."""
        from_end = self.interval - 1 - runner.iter % self.interval
        stride = self.interval // self.samples
        unwrapped_model(runner).head.monitor = (
            from_end % stride == 0 and from_end < stride * self.samples)

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs: dict | None = None) -> None:
        """Keep what is to be judged; judge at the interval.

        Raises:
            TrainingHealthError: The training has failed.
        """
        head = unwrapped_model(runner).head
        if head.monitor:
            relative = torch.stack([
                outputs[f'entropy_{kind}'] / math.log(len(center))
                for kind, center in (('cls', head.center),
                                     ('patch', head.patch_center))
                if f'entropy_{kind}' in outputs
            ])
            self._entropies.append(
                torch.stack([relative.amin(), relative.amax()]))
        if (runner.iter + 1) % self.interval == 0:
            self._log_usage(runner, head)
            self._update_counts(unwrapped_model(runner))
            self._judge(runner)

    @staticmethod
    def _log_usage(runner, head) -> None:
        shares = torch.stack(
            [usage.pop_fraction_used() for usage in head.usage.values()])
        for kind, share in zip(head.usage, shares.tolist()):
            runner.message_hub.update_scalar(f'train/prototypes_{kind}', share)

    @torch.no_grad()
    def _update_counts(self, model: torch.nn.Module) -> None:
        """Lengths in iterations of what goes on, the worst of all ranks."""
        norms = torch._foreach_norm(to_local(model.parameters()))
        lowest, highest, norm = torch.cat([
            # A skipped step may have left some that are not finite.
            torch.stack(self._entropies).nanmean(0),
            torch.stack(norms).norm().reshape(1).float()
        ]).tolist()
        self._entropies = []
        for name, there in (('uniform', highest > 1 - self.tolerance),
                            ('one_hot', lowest < self.tolerance)):
            if not math.isnan(highest):
                self.collapsed[name] = (self.collapsed[name] +
                                        self.interval) if there else 0
        counts = torch.tensor(
            [int(not math.isfinite(norm)), *self.collapsed.values()])
        all_reduce(counts, op='max')
        self.bad_weights, *collapsed = counts.tolist()
        self.collapsed = dict(zip(self.collapsed, collapsed))

    def _judge(self, runner) -> None:
        if self.bad_weights:
            stop_training(runner, 'nonfinite', 'a weight is not finite')
        for name, words in (('uniform', 'uniform (their entropy is log K)'),
                            ('one_hot', 'one-hot (their entropy is 0)')):
            if self.collapsed[name] >= self.patience:
                stop_training(
                    runner, name,
                    f"for {self.collapsed[name]} iterations the teacher's "
                    f'distributions have been {words}')
        if not any(self.collapsed.values()):
            self._keep_checkpoint(runner)

    def _keep_checkpoint(self, runner) -> None:
        """Give the latest checkpoint, from a healthy time, a second name."""
        latest = saved_last(runner.work_dir)
        if runner.rank == 0 and latest and latest != self._judged_checkpoint:
            try:
                keep(latest, Path(runner.work_dir) / LAST_GOOD)
            except OSError as error:  # tried again at the next interval
                runner.logger.error(f'{LAST_GOOD} could not be saved: {error}')
            else:
                self._judged_checkpoint = latest

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Refuse to save weights that are not finite.

        Raises:
            TrainingHealthError: A weight is not finite.
        """
        for name, value in checkpoint['state_dict'].items():
            if value.is_floating_point() and not torch.isfinite(value).all():
                stop_training(runner, 'nonfinite',
                           f'"{name}" is not finite and was not saved')
