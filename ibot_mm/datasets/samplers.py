"""Sampler whose indices say which epoch they belong to."""

from collections.abc import Iterator
from itertools import islice

from mmengine.dataset import DefaultSampler

from ibot_mm.registry import DATA_SAMPLERS


class SampleIndex(int):
    """Index of a sample, with the epoch and the seed of the run.

    It is an ``int`` everywhere else, and it travels to worker processes, which
    have no other way to learn the epoch while they persist.

    Args:
        index: Index in the dataset.
        epoch: Epoch, from 0.
        seed: Seed of the run.
    """

    epoch: int
    seed: int

    def __new__(cls, index: int, epoch: int, seed: int) -> 'SampleIndex':
        self = super().__new__(cls, index)
        self.epoch = epoch
        self.seed = seed
        return self

    def __reduce__(self):
        return SampleIndex, (int(self), self.epoch, self.seed)


@DATA_SAMPLERS.register_module()
class PretrainSampler(DefaultSampler):
    """MMEngine's DefaultSampler that yields :class:`SampleIndex`.

    With it, the crops and masks of a sample depend on the seed of the run, the
    epoch and the sample alone: not on the number of workers, the rank or the
    time of a restart.

    Args:
        dataset: The dataset.
        shuffle: Whether to shuffle each epoch.
        seed: Seed of the run; drawn and shared over ranks if None.
        round_up: Whether to repeat samples so that ranks get equally many.
    """

    def __init__(self,
                 dataset,
                 shuffle: bool = True,
                 seed: int | None = None,
                 round_up: bool = True) -> None:
        super().__init__(dataset, shuffle, seed, round_up)
        self._skipped = 0

    def skip(self, count: int) -> None:
        """Leave out the first samples of the next pass.

        Args:
            count: Samples of this rank that were seen before a restart.
        """
        self._skipped = count

    def __iter__(self) -> Iterator[SampleIndex]:
        skipped, self._skipped = self._skipped, 0
        for index in islice(super().__iter__(), skipped, None):
            yield SampleIndex(index, self.epoch, self.seed)
