"""A batch of crops and masks."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class GlobalView(NamedTuple):
    """One global crop of each of B images, and its mask.

    Attributes:
        crops: (B, C, H, W).
        mask: bool (B, gh, gw), True for masked patches.
        mask_index: int64 (P,), positions of the masked patches among the
            B x gh x gw patches.
        mask_weight: float32 (P,), weight of each masked patch in the mean
            over images: 1 / (masked patches of its image x G x B).
    """

    crops: Tensor
    mask: Tensor
    mask_index: Tensor
    mask_weight: Tensor


class CropBatch(NamedTuple):
    """All crops of B images.

    Attributes:
        global_views: The G global views.
        local_crops: One tensor (L, B, C, h, w) per size of local crops.
    """

    global_views: list[GlobalView]
    local_crops: list[Tensor]

    @property
    def num_views(self) -> int:
        """Number of global and local views per image."""
        return len(self.global_views) + sum(map(len, self.local_crops))


def merge_views(views: Sequence[GlobalView]) -> GlobalView:
    """Join views in the batch dimension, one after the other."""
    num_patches = views[0].mask.numel()
    crops, masks, indices, weights = zip(*views)
    return GlobalView(
        torch.cat(crops), torch.cat(masks),
        torch.cat([index + i * num_patches
                   for i, index in enumerate(indices)]), torch.cat(weights))
