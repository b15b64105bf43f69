"""Corrupted scenes, in the layout of ImageNet-C.

Needs the package imagecorruptions-imaug, the fork that works with NumPy 2.
"""

from pathlib import Path

import cv2
import numpy as np
from shapes_scene import MAX_CLASSES, class_name, draw_scene

# Number of the split in the seeds of the scenes; 0 and 1 are the data set's.
SPLIT = 3
SIDE = 64


def square(image: np.ndarray, side: int) -> np.ndarray:
    """The square in the middle of an image, resized."""
    height, width = image.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    return cv2.resize(image[top:top + short, left:left + short], (side, side),
                      interpolation=cv2.INTER_AREA)


def write_corruptions(folder: Path, seed: int, count: int = 120) -> None:
    """Write all 19 corruptions at all five severities.

    The images have 64 pixels, close to the sizes that small networks see:
    noise on larger ones would be averaged out when they are resized.

    Args:
        folder: Folder to write to.
        seed: Seed.
        count: Images of each corruption and severity.

    Raises:
        ImportError: The package imagecorruptions-imaug is not installed.
    """
    try:
        from imagecorruptions import corrupt, get_corruption_names
    except ImportError as error:
        raise ImportError('the set "corruptions" needs the package '
                          'imagecorruptions: pip install '
                          'imagecorruptions-imaug.') from error
    state = np.random.get_state()
    names = get_corruption_names('all')
    for index in range(count):
        scene = draw_scene(seed, SPLIT, index, MAX_CLASSES)
        image = square(scene.image, SIDE)[..., ::-1]  # to RGB
        for number, name in enumerate(names):
            for severity in range(1, 6):
                np.random.seed([seed, index, number, severity])
                # Two have a generator of their own.
                options = dict(seed=index) if name in (
                    'glass_blur', 'impulse_noise') else {}
                corrupted = corrupt(image, severity, name, **options)
                path = folder / name / str(severity) / class_name(
                    scene.label) / f'{index:06d}.jpg'
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), corrupted[..., ::-1])
    np.random.set_state(state)
