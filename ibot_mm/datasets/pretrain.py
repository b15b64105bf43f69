"""Images for pre-training, with bad files named and replaced."""

import random
from collections.abc import Sequence
from pathlib import Path

from mmpretrain.datasets import CustomDataset

from ibot_mm.datasets.transforms.decode import ImageDecodeError
from ibot_mm.registry import DATASETS

from .samplers import SampleIndex

IMAGE_EXTENSIONS = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif',
                    '.tiff', '.webp')


@DATASETS.register_module()
class PretrainDataset(CustomDataset):
    """MMPretrain's CustomDataset with per-sample randomness.

    Three kinds of data: class folders (``with_label=True``), any folder of
    images (``with_label=False``), and a list file (``ann_file``, a path a
    line, with a label after it if ``with_label=True``).

    The pipeline gets, besides the host's keys, ``rng`` (a ``random.Random``)
    and ``epoch`` (None unless ``PretrainSampler`` gave it). A file that cannot
    be read is replaced by another sample drawn at random, and the result lists
    it under ``bad_files`` as (path, reason), for ``BadFileHook``.

    Args:
        data_root: Folder of the data.
        max_refetch: Files in a row that may be bad before the run stops.
        extensions: File name endings that count as images.
        **kwargs: As in the host's dataset.
    """

    def __init__(self,
                 data_root: str = '',
                 max_refetch: int = 100,
                 extensions: Sequence[str] = IMAGE_EXTENSIONS,
                 **kwargs) -> None:
        super().__init__(
            data_root=data_root,
            max_refetch=max_refetch,
            extensions=extensions,
            **kwargs)

    def load_data_list(self) -> list:
        """List the samples.

        Raises:
            FileNotFoundError: The folder or the list is missing.
        """
        source = self.ann_file or self.img_prefix
        if not Path(source).exists():
            raise FileNotFoundError(
                f'PretrainDataset: there is no "{source}"; check data_root, '
                'data_prefix and ann_file of the data set.')
        return super().load_data_list()

    def _random_source(self, index: int) -> random.Random:
        """Generator of one sample: of its own, or from the worker's."""
        if isinstance(index, SampleIndex):
            return random.Random(
                (index.seed << 80) | (index.epoch << 48) | int(index))
        return random.Random(random.getrandbits(64))

    def __getitem__(self, index: int) -> dict:
        """Sample ``index`` through the pipeline.

        Raises:
            RuntimeError: Too many bad files in a row; lists them.
        """
        if not self._fully_initialized:
            self.full_init()
        rng = self._random_source(index)
        epoch: int | None = getattr(index, 'epoch', None)
        index, bad_files = int(index), []
        for _ in range(self.max_refetch + 1):
            data = self.get_data_info(index)
            data.update(rng=rng, epoch=epoch)
            try:
                data = self.pipeline(data)
            except ImageDecodeError as error:
                bad_files.append((data['img_path'], error.reason))
                index = rng.randrange(len(self))
                continue
            data['bad_files'] = bad_files
            return data
        raise RuntimeError(
            f'{len(bad_files)} files in a row could not be read, the last of '
            'them:\n' + '\n'.join(f'  {path}: {reason}'
                                  for path, reason in bad_files[-20:]))
