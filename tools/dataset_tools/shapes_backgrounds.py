"""Scenes with exchanged backgrounds, in the layout of ImageNet-9."""

import json
from pathlib import Path

import cv2
import numpy as np
from numpy import ndarray
from shapes_scene import MAX_CLASSES, class_name, draw_single

# Number of the split in the seeds of the scenes; 0 and 1 are the data set's.
SPLIT = 2
NUM_GROUPS, SIDE, RADIUS = 9, 224, (0.3, 0.38)


def tiled(background: ndarray, mask: ndarray) -> ndarray:
    """The background, with what is left of the object's box inside it."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    picture = background.copy()
    columns = np.arange(width) % max(left, 1)
    picture[top:top + height, left:left + width] = background[
        top:top + height, columns]
    return picture


def without_box(background: ndarray, mask: ndarray) -> ndarray:
    """The background, with the object's box black."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    picture = background.copy()
    picture[top:top + height, left:left + width] = 0
    return picture


def write_backgrounds(folder: Path, seed: int, per_class: int = 40) -> None:
    """Write the eight variants and the mapping of the classes.

    The groups are the first nine classes by name, which is how a classifier
    of the data set numbers them; the other classes are in no group.

    Args:
        folder: Folder to write to.
        seed: Seed.
        per_class: Images per group in each variant.
    """
    classes = sorted(range(MAX_CLASSES), key=class_name)
    scenes = [[draw_single(seed, SPLIT, MAX_CLASSES * i + label, MAX_CLASSES,
                           SIDE, RADIUS) for i in range(per_class)]
              for label in classes[:NUM_GROUPS]]
    for group, members in enumerate(scenes):
        name = f'{group:02d}_{class_name(classes[group])}'
        for i, (image, background, mask) in enumerate(members):
            rng = np.random.default_rng([seed, SPLIT, group, i])
            inside = mask[..., None]

            def pasted(other_group: int, image=image, inside=inside, i=i,
                       members=members) -> ndarray:
                other = scenes[other_group][(i + 1) % len(members)]
                return np.where(inside, image, tiled(*other[1:]))

            variants = dict(
                original=image,
                only_fg=np.where(inside, image, 0),
                no_fg=np.where(inside, 0, image),
                only_bg_b=without_box(background, mask),
                only_bg_t=tiled(background, mask),
                mixed_same=pasted(group),
                mixed_next=pasted((group + 1) % NUM_GROUPS),
                mixed_rand=pasted(int(rng.integers(NUM_GROUPS))))
            for variant, picture in variants.items():
                path = folder / variant / 'val' / name / f'{i:06d}.jpg'
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), picture)
    (folder / 'in_to_in9.json').write_text(json.dumps({
        str(i): i if i < NUM_GROUPS else -1 for i in range(MAX_CLASSES)}))
