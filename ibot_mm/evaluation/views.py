"""Features of several augmented views of each image."""

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn
from torch.utils.data import Dataset

from ibot_mm.datasets.image_lists import evenly_spaced
from ibot_mm.datasets.transforms.decode import ImageDecodeError
from ibot_mm.datasets.transforms.photometric import is_bgr
from ibot_mm.registry import DATASETS

from .correspondence import (
    View,
    best_matches,
    count_correct,
    random_view,
    true_partners,
)
from .features import gather_rows, joined, rank_loader


@DATASETS.register_module()
class ViewDataset(Dataset):
    """Random resized crops of some images of a data set.

    Colors change, too, if the images have 3 channels of 8 bits
    (:func:`.correspondence.random_view`). The views of an image depend on
    ``seed`` and its index only.

    Args:
        images: Data set whose pipeline begins with the loading of the image.
        num_images: Number of images, at equal distances.
        num_views: Number of views of each, 2 or more.
        size: Side of the views in pixels.
        scale: Range of crop area / image area.
        seed: Seed of the views.
    """

    def __init__(self,
                 images: Dataset,
                 num_images: int = 1000,
                 num_views: int = 8,
                 size: int = 224,
                 scale: Sequence[float] = (0.4, 1.),
                 seed: int = 0) -> None:
        if num_views < 2:
            raise ValueError(
                f'views.num_views must be 2 or more, got {num_views}.')
        self.images = images
        self.indices = evenly_spaced(len(images), num_images)
        self.num_views = num_views
        self.size = size
        self.scale = tuple(scale)
        self.seed = seed

    def __len__(self) -> int:
        """Number of images."""
        return len(self.indices)

    def __getitem__(self, position: int) -> tuple[int, list[View]]:
        """Position and views of an image; no views of an unreadable one."""
        index = self.indices[position]
        try:
            image = self.images.pipeline.transforms[0](
                self.images.get_data_info(index))['img']
        except ImageDecodeError:  # whoever reads all images names it
            return position, []
        rng = random.Random(self.seed << 32 | index)
        return position, [
            random_view(image, self.size, rng, self.scale, is_bgr(image))
            for _ in range(self.num_views)
        ]


class ViewFeatures(NamedTuple):
    """What a network makes of the views of n images.

    Attributes:
        vectors: CLS tokens, float32 (n, num_views, C), on the CPU.
        correct: Number of patches of the first views whose most similar patch
            of the second view is the right one.
        at_random: The number that random matches have on average.
        shared: Number of patches that the first two views both show.
    """

    vectors: Tensor
    correct: float
    at_random: float
    shared: float


@torch.no_grad()
def extract_views(backbone: nn.Module, preprocessor: nn.Module,
                  dataset: ViewDataset, batch_size: int,
                  num_workers: int) -> ViewFeatures:
    """Features of all views, distributed over the ranks.

    Args:
        backbone: A network with ``extract_tokens``.
        preprocessor: The model's data preprocessor.
        dataset: The views.
        batch_size: Number of images in a batch, of ``num_views`` views each.
        num_workers: Workers of the data loader.

    Returns:
        The features of all images that can be read, on every rank.

    Raises:
        ValueError: Fewer than two images can be read.
    """
    vectors, places, counts = [], [], torch.zeros(3, dtype=torch.float64)
    for batch in rank_loader(dataset, batch_size, num_workers):
        batch = [(place, views) for place, views in batch if views]
        images = [torch.from_numpy(np.float32(view.image)).permute(2, 0, 1)
                  for _, views in batch for view in views]
        if not images:
            continue
        inputs = preprocessor(dict(inputs=torch.stack(images)), False)
        cls, patches = backbone.extract_tokens(inputs['inputs'])
        vectors.append(cls.float().cpu().reshape(len(batch), -1))
        places.extend(place for place, _ in batch)
        side = math.isqrt(patches.shape[1])
        grids = patches.float().reshape(
            len(batch), dataset.num_views, side, side, -1)
        for (_, (first, second, *_)), grid in zip(batch, grids):
            counts += torch.tensor(count_correct(
                best_matches(grid[0], grid[1]).cpu(),
                *true_partners(first, second, side)))
    all_reduce(counts)
    place = gather_rows(torch.tensor(places, dtype=torch.long))
    if len(place) < 2:
        raise ValueError('the quality of views needs two readable images or '
                         f'more, but of {len(dataset)} {len(place)} could be '
                         'read.')
    rows = gather_rows(joined(vectors))[place.argsort()]
    return ViewFeatures(rows.unflatten(1, (dataset.num_views, -1)),
                        *counts.tolist())
