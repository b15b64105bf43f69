"""New scenes in the layouts of ImageNet-A, ImageNet-R and ImageNet-V2."""

from pathlib import Path

import cv2
import numpy as np
from shapes_scene import MAX_CLASSES, class_name, draw_scene, draw_single

# Numbers of the splits in the seeds of the scenes; 0 and 1 are the data set's.
HARD, RENDITIONS, NEW = 4, 5, 6


def _write(folder: Path, index: int, picture: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f'{index:06d}.jpg'), picture)


def write_hard(folder: Path, seed: int, per_class: int = 30) -> None:
    """One small object in much clutter, of every second class.

    Args:
        folder: Folder to write to.
        seed: Seed.
        per_class: Images per class.
    """
    for index in range(per_class * MAX_CLASSES):
        label = index % MAX_CLASSES
        if label % 2 == 0:
            image, _, _ = draw_single(seed, HARD, index, MAX_CLASSES, 224,
                                      (0.15, 0.25))
            _write(folder / class_name(label), index, image)


def write_renditions(folder: Path, seed: int, per_class: int = 30) -> None:
    """Drawings: dark edges on white, of every second class.

    Args:
        folder: Folder to write to.
        seed: Seed.
        per_class: Images per class.
    """
    for index in range(per_class * MAX_CLASSES):
        scene = draw_scene(seed, RENDITIONS, index, MAX_CLASSES)
        if scene.label % 2:
            gray = cv2.GaussianBlur(
                cv2.cvtColor(scene.image, cv2.COLOR_BGR2GRAY), (0, 0), 1.5)
            slope = np.hypot(cv2.Sobel(gray, cv2.CV_32F, 1, 0),
                             cv2.Sobel(gray, cv2.CV_32F, 0, 1))
            _write(folder / class_name(scene.label), index,
                   (255 - 2 * slope).clip(0, 255).astype(np.uint8))


def write_new(folder: Path, seed: int, per_class: int = 30) -> None:
    """New scenes of the same kind, in folders of class numbers.

    Args:
        folder: Folder to write to.
        seed: Seed.
        per_class: Images per class.
    """
    numbers = {name: i for i, name in enumerate(
        sorted(map(class_name, range(MAX_CLASSES))))}
    for index in range(per_class * MAX_CLASSES):
        scene = draw_scene(seed, NEW, index, MAX_CLASSES)
        _write(folder / str(numbers[class_name(scene.label)]), index,
               scene.image)
