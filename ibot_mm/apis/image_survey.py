"""What a folder of images is like, from its list and a random sample."""

import random
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ibot_mm.datasets.image_lists import list_images
from ibot_mm.datasets.pretrain import image_extensions
from ibot_mm.datasets.transforms.decode import (
    ImageDecodeError,
    decode_unchanged,
)

# Bits of 64 in which the hashes of two images may differ.
SAME_BITS = 2


class ImageSurvey(NamedTuple):
    """Properties of a folder of images.

    Attributes:
        count: Number of images in it and in folders below.
        sizes: Height and width in pixels of the images in the sample.
        channels: Number of channels that most of them have.
        bits: Bits per value that most of them have, 8 or 16.
        mean: Mean of each channel over the sample, of images with
            ``channels``, in the units of the files.
        std: Standard deviation of each channel.
        unreadable: Paths of the files that cannot be read, and why.
        duplicates: Pairs of paths of almost equal images.
    """

    count: int
    sizes: list[tuple[int, int]]
    channels: int
    bits: int
    mean: list[float]
    std: list[float]
    unreadable: list[tuple[str, str]]
    duplicates: list[tuple[str, str]]

    @property
    def short_side(self) -> int:
        """Median of the shorter sides, in pixels."""
        return int(np.median([min(size) for size in self.sizes]))


def difference_hash(image: np.ndarray) -> np.ndarray:
    """64 bits that change little if an image is resized or compressed.

    Each says whether a pixel of the gray image, resized to 8 x 9, is brighter
    than its left neighbor.

    Args:
        image: (H, W, C) of any dtype.

    Returns:
        bool (64,).
    """
    gray = image.astype(np.float32).mean(axis=2)
    small = cv2.resize(gray, (9, 8), interpolation=cv2.INTER_AREA)
    return (small[:, 1:] > small[:, :-1]).ravel()


def _almost_equal(paths: list[str], hashes: list[np.ndarray]
                  ) -> list[tuple[str, str]]:
    bits = np.array(hashes, dtype=np.int32)
    # |a - b| = |a| + |b| - 2 <a, b> for bits.
    ones = bits.sum(1)
    distance = ones[:, None] + ones - 2 * bits @ bits.T
    pairs = np.argwhere(np.triu(distance <= SAME_BITS, 1))
    return [(paths[i], paths[j]) for i, j in pairs]


def survey_images(folder: str, sample: int = 256, seed: int = 0
                  ) -> ImageSurvey:
    """Count the images in a folder and look at a random sample.

    Args:
        folder: Folder, with or without folders in it.
        sample: Number of images to look at.
        seed: Of the choice.

    Raises:
        ValueError: There is no such folder, no image in it, or none in the
            sample can be read.
    """
    if not Path(folder).is_dir():
        raise ValueError(f'there is no folder "{folder}".')
    names = sorted(list_images(folder, image_extensions()))
    if not names:
        raise ValueError(f'there are no images in "{folder}".')
    chosen = random.Random(seed).sample(names, min(sample, len(names)))
    paths, sizes, kinds, hashes, unreadable = [], [], [], [], []
    moments: dict[int, list[np.ndarray]] = {}
    for name in chosen:
        path = Path(folder, name)
        try:
            image = decode_unchanged(path.read_bytes())
        except ImageDecodeError as error:
            unreadable.append((str(path), error.reason))
            continue
        except OSError as error:
            unreadable.append((str(path), str(error.strerror)))
            continue
        height, width, channels = image.shape
        paths.append(str(path))
        sizes.append((height, width))
        kinds.append((channels, 8 * image.dtype.itemsize))
        hashes.append(difference_hash(image))
        values = image.reshape(-1, channels).astype(np.float64)
        moments.setdefault(channels, []).append(
            np.stack([values.mean(0), np.square(values).mean(0)]))
    if not paths:
        path, reason = unreadable[0]
        raise ValueError(f'none of {len(chosen)} images in "{folder}" can be '
                         f'read, the first: "{path}" {reason}.')
    (channels, bits), _ = Counter(kinds).most_common(1)[0]
    mean, square = np.mean(moments[channels], axis=0)
    return ImageSurvey(
        count=len(names), sizes=sizes, channels=channels, bits=bits,
        mean=mean.round(3).tolist(),
        std=np.sqrt(square - mean**2).round(3).tolist(),
        unreadable=unreadable, duplicates=_almost_equal(paths, hashes))
