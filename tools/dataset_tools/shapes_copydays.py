"""Copies of scenes in the layout of Copydays."""

from pathlib import Path

import cv2
import numpy as np
from shapes_scene import MAX_CLASSES, draw_scene

# Number of the split in the seeds of the scenes.
SCENES = 9
QUALITIES = (3, 5, 8, 10, 15, 20, 30, 50, 75)
# Percent of the area that is cut off.
CROPS = (10, 15, 20, 30, 40, 50, 60, 70, 80)


def crop(image: np.ndarray, percent: int) -> np.ndarray:
    """The middle of an image, without this percentage of its area."""
    height, width = image.shape[:2]
    share = (1 - percent / 100)**0.5
    h, w = round(height * share), round(width * share)
    top, left = (height - h) // 2, (width - w) // 2
    return image[top:top + h, left:left + w]


def strong(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """A turned, blurred, dim part of an image on gray paper, with a bar."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2),
                                   rng.uniform(-15, 15),
                                   rng.uniform(0.8, 1.3))
    copy = cv2.warpAffine(image, turn, (width, height),
                          borderValue=(160, 160, 160))
    copy = cv2.GaussianBlur(copy, (0, 0), rng.uniform(0.8, 2))
    top = int(rng.integers(height - 16))
    copy[top:top + 16] = rng.integers(0, 256, 3)
    return cv2.convertScaleAbs(copy, alpha=rng.uniform(0.5, 0.9))


def write_copydays(folder: Path, seed: int, num_originals: int = 40,
                   num_strong: int = 2, num_distractors: int = 160,
                   num_whitening: int = 400) -> None:
    """Write originals, their copies, distractors and images to learn from.

    Args:
        folder: Folder to write to; ``distractors/`` and ``whitening/`` are
            folders in it.
        seed: Seed.
        num_originals: Number of originals.
        num_strong: Strong copies of each.
        num_distractors: Number of distractors.
        num_whitening: Number of images for the whitening.
    """
    def write(block: str, name: str, image: np.ndarray,
              quality: int = 95) -> None:
        path = folder / block / f'{name}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, quality])

    blocks = (['original'] * num_originals + ['distractors'] * num_distractors
              + ['whitening'] * num_whitening)
    for index, block in enumerate(blocks):
        image = draw_scene(seed, SCENES, index, MAX_CLASSES).image
        name = f'{2000 + index}00'
        write(block, name, image)
        if block != 'original':
            continue
        rng = np.random.default_rng([seed, SCENES, index, 1])
        for i in range(num_strong):
            write('strong', f'{2000 + index}{i + 1:02d}', strong(rng, image))
        for quality in QUALITIES:
            write(f'jpegqual/{quality}', name, image, quality)
        for percent in CROPS:
            write(f'crops/{percent}', name, crop(image, percent))
