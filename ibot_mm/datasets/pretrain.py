"""Pre-training data set that replaces unreadable files."""

import logging
import os
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import print_log
from mmpretrain.datasets import CustomDataset
from PIL import Image

from ibot_mm.datasets.transforms.decode import ImageDecodeError
from ibot_mm.registry import DATASETS

from .image_lists import list_images, read_labels, read_names
from .samplers import SampleIndex


def image_extensions() -> tuple[str, ...]:
    """File name extensions of images; AVIF and HEIC if Pillow reads them."""
    optional = Image.registered_extensions()
    return ('.jpg', '.jpeg', '.jfif', '.png', '.ppm', '.bmp', '.pgm', '.tif',
            '.tiff', '.webp', '.gif',
            *(extension for extension in ('.avif', '.heic', '.heif')
              if extension in optional))


@DATASETS.register_module()
class PretrainDataset(CustomDataset):
    """MMPretrain's CustomDataset with a random generator per sample.

    Supports class folders (``with_label=True``), any folder of images
    (``with_label=False``) and list files (``ann_file``, a path per line,
    followed by a label if ``with_label=True``).

    The pipeline receives, in addition to CustomDataset's keys, ``rng`` (a
    ``random.Random``) and ``epoch`` (None without ``PretrainSampler``). An
    unreadable file is replaced by another sample drawn at random and listed
    in the result under ``bad_files`` as (path, reason), for ``BadFileHook``.

    Args:
        data_root: Folder of the data.
        max_refetch: Number of consecutive unreadable files before the run
            stops.
        extensions: File name extensions of images; those of
            :func:`image_extensions` if None.
        **kwargs: Passed to CustomDataset.
    """

    def __init__(self,
                 data_root: str = '',
                 max_refetch: int = 100,
                 extensions: Sequence[str] | None = None,
                 **kwargs) -> None:
        super().__init__(
            data_root=data_root,
            max_refetch=max_refetch,
            extensions=tuple(extensions or image_extensions()),
            **kwargs)

    def load_data_list(self) -> list:
        """List the samples; log how many files a folder has.

        Raises:
            FileNotFoundError: The folder or the list file is missing.
            ValueError: A line of the list file is invalid, or a folder links
                to itself.
        """
        source = self.ann_file or self.img_prefix
        if not Path(source).exists():
            raise FileNotFoundError(
                f'PretrainDataset: "{source}" does not exist; check '
                'data_root, data_prefix and ann_file of the data set.')
        if self.ann_file and self.with_label:
            return [dict(img_path=os.path.join(self.img_prefix, name),
                         gt_label=label)
                    for name, label in read_labels(self.ann_file)]
        if self.ann_file:
            names = read_names(self.ann_file)
        elif self.with_label:
            return super().load_data_list()
        else:
            others: Counter[str] = Counter()
            names = sorted(list_images(
                self.img_prefix, self.extensions, others=others))
            left_out = ', '.join(f'{count} {extension or "without extension"}'
                                 for extension, count in others.most_common())
            print_log(
                f'{len(names)} images in "{self.img_prefix}"'
                + (f'; other files: {left_out}' if left_out else ''),
                'current', logging.INFO)
        return [dict(img_path=os.path.join(self.img_prefix, name))
                for name in names]

    def _random_source(self, index: int) -> random.Random:
        """Generator of one sample, seeded by index if it has an epoch."""
        if isinstance(index, SampleIndex):
            return random.Random(
                (index.seed << 80) | (index.epoch << 48) | int(index))
        return random.Random(random.getrandbits(64))

    def __getitem__(self, index: int) -> dict:
        """Load and transform a sample.

        Raises:
            RuntimeError: Too many consecutive files are unreadable.
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
