"""Training by epochs that a restart does not change."""

import logging
from collections.abc import Sequence

import torch
from mmengine.dist import get_rank
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop

from ibot_mm.engine.dataloader_workers import explained_worker_death
from ibot_mm.registry import LOOPS

# Where checkpoints have the epoch, its first iteration and its length.
BEGIN = 'epoch_begin'
# Odd factors of a hash: streams of neighboring ranks and iterations differ.
RANK_FACTOR, ITERATION_FACTOR = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9


def iteration_seed(seed: int, rank: int, iteration: int) -> int:
    """Seed of the random numbers of one iteration on one rank.

    Args:
        seed: Seed of the run.
        rank: Rank of the process.
        iteration: Iteration, from 0.

    Returns:
        From 0 to 2^63 - 1.
    """
    mixed = (seed + (rank + 1) * RANK_FACTOR +
             (iteration + 1) * ITERATION_FACTOR) % 2**64
    mixed = (mixed ^ (mixed >> 31)) * RANK_FACTOR % 2**64
    return (mixed ^ (mixed >> 29)) >> 1


@LOOPS.register_module()
class PretrainLoop(EpochBasedTrainLoop):
    """MMEngine's loop, exact when a run is resumed anywhere.

    MMEngine begins the epoch anew when the checkpoint is from its middle, and
    the random numbers of a resumed run are others. Here the epoch goes on
    with the samples that are left, and PyTorch's random numbers (those of the
    drop path) are seeded at every iteration from the seed of the run, the
    rank and the iteration. Crops and masks depend on (seed, epoch, sample) as
    they are, so no state of a generator has to be kept.

    The sampler has to be :class:`PretrainSampler`, and ``randomness.seed``
    set. Gradients that are being accumulated are not part of a checkpoint:
    save at optimizer steps.

    Args:
        runner: The runner.
        dataloader: Of the training set.
        max_epochs: Epochs of the run.
        **kwargs: As in MMEngine.
    """

    def run(self) -> torch.nn.Module:
        """Train from the start or from where a checkpoint is."""
        self._done = self._iterations_done()
        return super().run()

    def run_epoch(self) -> None:
        """Iterate over what is left of the epoch.

        Raises:
            DataWorkerError: A process that loads data was killed; why.
        """
        done, self._done = self._done, 0
        self.runner.message_hub.update_info(
            BEGIN, [self._epoch, self._iter - done, len(self.dataloader)])
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        if done:
            self.dataloader.sampler.skip(done * self.dataloader.batch_size)
        with explained_worker_death(self.dataloader):
            for idx, data_batch in enumerate(self.dataloader, done):
                self.run_iter(idx, data_batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def _iterations_done(self) -> int:
        """Iterations of the first epoch that a resumed run has behind it."""
        length = len(self.dataloader)
        # A checkpoint without it is from the end of an epoch.
        epoch, begin, before = self.runner.message_hub.get_info(
            BEGIN, [self._epoch, self._iter, length])
        done = self._iter - begin if epoch == self._epoch else 0
        if done and before != length:
            print_log(
                f'An epoch had {before} iterations when the checkpoint was '
                f'saved and has {length} now: epoch {self._epoch + 1} begins '
                'with its first sample.',
                logger='current',
                level=logging.WARNING)
            return 0
        return done

    def run_iter(self, idx: int, data_batch: Sequence[dict]) -> None:
        """One iteration with random numbers of its own."""
        torch.manual_seed(
            iteration_seed(self.runner.seed, get_rank(), self._iter))
        super().run_iter(idx, data_batch)
