"""Images for evaluation, whose unreadable files can be left out."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from mmpretrain.datasets import CustomDataset

from ibot_mm.datasets.transforms.decode import ImageDecodeError

from .pretrain import image_extensions


class BadFile(NamedTuple):
    """A file that could not be read, and why."""

    path: str
    reason: str


def collate_readable(samples: Sequence, collate: Callable) -> dict:
    """Collate the samples that could be read.

    Args:
        samples: Samples and bad files.
        collate: Function for the samples.

    Returns:
        Its result, and ``bad_files``.
    """
    good = [sample for sample in samples if not isinstance(sample, BadFile)]
    batch = collate(good) if good else dict(inputs=[], data_samples=[])
    return dict(batch, bad_files=[
        sample for sample in samples if isinstance(sample, BadFile)])


class EvaluationDataset(CustomDataset):
    """MMPretrain's CustomDataset that can go on after unreadable files.

    Args:
        extensions: File name extensions of images; those of
            :func:`image_extensions` if None.
        **kwargs: Passed to CustomDataset.

    Attributes:
        skip_unreadable: Whether the sample of an unreadable file is a
            :class:`BadFile`, for :func:`collate_readable`; False raises.
    """

    def __init__(self, extensions: Sequence[str] | None = None,
                 **kwargs) -> None:
        self.skip_unreadable = False
        super().__init__(
            extensions=tuple(extensions or image_extensions()), **kwargs)

    def __getitem__(self, index: int):
        """Load and transform a sample."""
        try:
            return super().__getitem__(index)
        except ImageDecodeError as error:
            if not self.skip_unreadable:
                raise
            return BadFile(self.get_data_info(index)['img_path'],
                           error.reason)
