"""Sampler whose indices carry the epoch and the seed."""

from collections.abc import Iterator
from itertools import islice

from mmengine.dataset import DefaultSampler

from ibot_mm.registry import DATA_SAMPLERS


class SampleIndex(int):
    """Sample index that carries the epoch and the seed of the run.

    Persistent DataLoader workers get nothing but indices, so this is how they
    learn the epoch. Everywhere else it behaves as an ``int``.

    Args:
        index: Index in the data set.
        epoch: Epoch, from 0.
        seed: Seed of the run.
    """

    epoch: int
    seed: int

    def __new__(cls, index: int, epoch: int, seed: int) -> 'SampleIndex':
        """Create an ``int`` with the attributes."""
        self = super().__new__(cls, index)
        self.epoch = epoch
        self.seed = seed
        return self

    def __reduce__(self):
        return SampleIndex, (int(self), self.epoch, self.seed)


@DATA_SAMPLERS.register_module()
class PretrainSampler(DefaultSampler):
    """MMEngine's DefaultSampler that yields :class:`SampleIndex`.

    With it, the crops and masks of a sample depend only on the seed of the
    run, the epoch and the sample, not on the number of workers, the rank or
    restarts.

    Args:
        dataset: The data set.
        shuffle: Whether to shuffle each epoch.
        seed: Seed of the run; if None, drawn and shared across ranks.
        round_up: Whether to repeat samples so that all ranks get equally
            many.
    """

    def __init__(self,
                 dataset,
                 shuffle: bool = True,
                 seed: int | None = None,
                 round_up: bool = True) -> None:
        super().__init__(dataset, shuffle, seed, round_up)
        self._skipped = 0

    def skip(self, count: int) -> None:
        """Skip the first samples of the next epoch.

        Args:
            count: Number of samples that this rank saw before a restart.
        """
        self._skipped = count

    def __iter__(self) -> Iterator[SampleIndex]:
        skipped, self._skipped = self._skipped, 0
        for index in islice(super().__iter__(), skipped, None):
            yield SampleIndex(index, self.epoch, self.seed)
