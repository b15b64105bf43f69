"""Mean and standard deviation per channel of a folder of images.

For ``model.data_preprocessor`` with images other than photos, in the units of
the files:

    python tools/dataset_tools/channel_statistics.py FOLDER
"""

import argparse
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ibot_mm.datasets.pretrain import image_extensions
from ibot_mm.datasets.transforms import ImageDecodeError, decode_unchanged


def channel_statistics(images: Iterable[np.ndarray]
                       ) -> tuple[np.ndarray, np.ndarray]:
    """Compute mean and standard deviation over all pixels of all images.

    Args:
        images: Arrays (H, W, C) of any sizes.

    Returns:
        Mean (C,) and standard deviation (C,), float64.

    Raises:
        ValueError: There are no images, or their numbers of channels differ.
    """
    count, sums = 0, np.zeros(0)
    for image in images:
        pixels = image.reshape(-1, image.shape[-1]).astype(np.float64)
        moments = np.stack([pixels.sum(0), (pixels**2).sum(0)])
        if count and moments.shape != sums.shape:
            raise ValueError('the images have different numbers of channels: '
                             f'{sums.shape[1]} and {moments.shape[1]}.')
        count, sums = count + len(pixels), moments + (sums if count else 0)
    if not count:
        raise ValueError('no readable images.')
    mean, square = sums / count
    return mean, np.sqrt(square - mean**2)


def read(paths: Iterable[Path]) -> Iterator[np.ndarray]:
    """Yield the images; print a line per file that cannot be read."""
    for path in paths:
        try:
            yield decode_unchanged(path.read_bytes())
        except ImageDecodeError as error:
            print(f'{path} {error}; skipped')


def main() -> None:
    """Read a sample of the files and print the statistics."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path)
    parser.add_argument(
        '--count', type=int, default=500, help='number of random files')
    args = parser.parse_args()
    paths = sorted(p for p in args.folder.rglob('*')
                   if p.suffix.lower() in image_extensions())
    if not paths:
        parser.error(f'"{args.folder}" contains no images.')
    random.Random(0).shuffle(paths)
    try:
        mean, std = channel_statistics(read(paths[:args.count]))
    except ValueError as error:
        parser.error(f'"{args.folder}": {error}')
    for name, values in (('mean', mean), ('std', std)):
        print(f'{name}=[' + ', '.join(f'{v:.6g}' for v in values) + '],')


if __name__ == '__main__':
    main()
