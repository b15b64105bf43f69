"""Views of scenes in the layout of Revisited Oxford and Paris."""

import pickle
from pathlib import Path

import cv2
import numpy as np
from shapes_scene import MAX_CLASSES, draw_scene

# Number of the split in the seeds of the scenes.
SCENES = 8
# Number of views of each kind, and their shares of the scene's area.
VIEWS = dict(
    easy=(3, (0.6, 0.9)), hard=(3, (0.3, 0.5)), junk=(2, (0.03, 0.08)))


def view(rng: np.random.Generator, image: np.ndarray,
         area: tuple[float, float]) -> np.ndarray:
    """A part of an image, enlarged to its size, in another light.

    Args:
        rng: Random generator.
        image: uint8 (H, W, 3).
        area: Least and largest share of the area.
    """
    height, width = image.shape[:2]
    side = rng.uniform(*area)**0.5
    h, w = round(height * side), round(width * side)
    top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
    part = cv2.resize(image[top:top + h, left:left + w], (width, height))
    return cv2.convertScaleAbs(part, alpha=rng.uniform(0.6, 1.2))


def write_retrieval(folder: Path, seed: int, num_queries: int = 24,
                    num_others: int = 96) -> None:
    """Write queries, views of their scenes, other scenes, and ground truth.

    Args:
        folder: Folder to write to; its name is that of the set.
        seed: Seed.
        num_queries: Number of queries, a scene each.
        num_others: Number of scenes without a query.
    """
    images = folder / 'jpg'
    images.mkdir(parents=True, exist_ok=True)
    names, queries, truth = [], [], []

    def write(name: str, image: np.ndarray) -> None:
        cv2.imwrite(str(images / f'{name}.jpg'), image)

    for index in range(num_queries + num_others):
        scene = draw_scene(seed, SCENES, index, MAX_CLASSES).image
        name = f'scene_{index:04d}'
        write(name, scene)
        if index >= num_queries:
            names.append(name)
            continue
        queries.append(name)
        height, width = scene.shape[:2]
        truth.append(dict(bbx=[0, 0, width, height]))
        rng = np.random.default_rng([seed, SCENES, index, 1])
        for kind, (count, area) in VIEWS.items():
            truth[-1][kind] = list(range(len(names), len(names) + count))
            for i in range(count):
                names.append(f'{name}_{kind}{i}')
                write(names[-1], view(rng, scene, area))
    (folder / f'gnd_{folder.name}.pkl').write_bytes(pickle.dumps(
        dict(imlist=names, qimlist=queries, gnd=truth), protocol=2))
