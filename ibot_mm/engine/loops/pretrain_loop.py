"""Epoch-based training loop with exact mid-epoch resume."""

import logging
from collections.abc import Sequence

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop

from ibot_mm.engine.dataloader_workers import explained_worker_death
from ibot_mm.engine.schedulers.cosine import StepScheduler
from ibot_mm.registry import LOOPS

# Message hub key of the epoch, its first iteration and its length.
BEGIN = 'epoch_begin'
# Odd hash factors that decorrelate neighboring ranks and iterations.
RANK_FACTOR, ITERATION_FACTOR = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9


def iteration_seed(seed: int, rank: int, iteration: int) -> int:
    """Random seed of an iteration on a rank.

    Args:
        seed: Seed of the run.
        rank: Rank of the process.
        iteration: Iteration, from 0.

    Returns:
        Integer from 0 to 2^63 - 1.
    """
    mixed = (seed + (rank + 1) * RANK_FACTOR +
             (iteration + 1) * ITERATION_FACTOR) % 2**64
    mixed = (mixed ^ (mixed >> 31)) * RANK_FACTOR % 2**64
    return (mixed ^ (mixed >> 29)) >> 1


@LOOPS.register_module()
class PretrainLoop(EpochBasedTrainLoop):
    """MMEngine's epoch-based loop with exact resume at any iteration.

    MMEngine restarts an epoch that a checkpoint interrupts, with other random
    numbers. This loop continues the epoch with the remaining samples and
    seeds PyTorch (drop path) at every iteration from the seed of the run, the
    rank and the iteration. Crops and masks depend only on (seed, epoch,
    sample), so no generator state has to be saved.

    Requires :class:`PretrainSampler` and ``randomness.seed``. Accumulated
    gradients are not part of a checkpoint: save at optimizer steps.

    Args:
        runner: The runner.
        dataloader: Data loader of the training set.
        max_epochs: Number of epochs.
        **kwargs: Passed to MMEngine's EpochBasedTrainLoop.

    Raises:
        ValueError: There is nothing to train.
    """

    def __init__(self, runner, dataloader, max_epochs: int, **kwargs) -> None:
        super().__init__(runner, dataloader, max_epochs, **kwargs)
        if not len(self.dataloader):
            raise ValueError(
                f'{len(self.dataloader.dataset)} images are fewer than a '
                f'batch for {get_world_size()} process(es): lower '
                f'train_dataloader.batch_size ({self.dataloader.batch_size}).')
        if max_epochs < 1:
            raise ValueError(
                f'train_cfg.max_epochs must be 1 or more, got {max_epochs}.')

    def run(self) -> torch.nn.Module:
        """Train from the start or from the loaded checkpoint."""
        self._done = self._iterations_done()
        return super().run()

    def run_epoch(self) -> None:
        """Iterate over the remaining samples of the epoch.

        Raises:
            DataWorkerError: A DataLoader worker died.
        """
        done, self._done = self._done, 0
        self.runner.message_hub.update_info(
            BEGIN, [self._epoch, self._iter - done, len(self.dataloader)])
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        if done:
            self.dataloader.sampler.skip(done * self.dataloader.batch_size)
        with explained_worker_death():
            for idx, data_batch in enumerate(self.dataloader, done):
                self.run_iter(idx, data_batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def _iterations_done(self) -> int:
        """Finished iterations of the epoch that a resumed run starts in."""
        length = len(self.dataloader)
        # Checkpoints without the entry are from the end of an epoch.
        epoch, begin, before = self.runner.message_hub.get_info(
            BEGIN, [self._epoch, self._iter, length])
        if before == length:
            return self._iter - begin if epoch == self._epoch else 0
        print_log(
            f'The checkpoint is from a run with {before} iterations per '
            f'epoch, this run has {length}: epoch {self._epoch + 1} starts '
            'from its first sample. The finished epochs count as '
            f'{self._epoch * length} iterations.',
            logger='current',
            level=logging.WARNING)
        self._iter = self._epoch * length
        for scheduler in self.runner.param_schedulers or []:
            if isinstance(scheduler, StepScheduler):
                scheduler.load_state_dict(scheduler.position(
                    self._epoch if scheduler.by_epoch else self._iter))
        return 0

    def run_iter(self, idx: int, data_batch: Sequence[dict]) -> None:
        """Seed PyTorch for the iteration, then run it."""
        torch.manual_seed(
            iteration_seed(self.runner.seed, get_rank(), self._iter))
        super().run_iter(idx, data_batch)
