"""Collation of samples with crops and masks."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ibot_mm.registry import FUNCTIONS
from ibot_mm.structures import CropBatch, GlobalView


def _stack(crops: Sequence[np.ndarray]) -> Tensor:
    """Stack N crops (h, w, C) to (N, C, h, w), channels last in memory."""
    array = np.stack(crops)
    if array.dtype == np.uint16:  # torch supports few operations on uint16
        array = array.astype(np.int32)
    return torch.from_numpy(array).permute(0, 3, 1, 2)


@FUNCTIONS.register_module()
def multi_crop_collate(samples: Sequence[dict]) -> dict:
    """Batch the output of ``MultiCrop`` and ``MaskGlobalCrops``.

    Indices of the masked patches are computed here, to avoid a
    synchronization with the device.

    Args:
        samples: Dicts with ``global_crops`` and ``local_crops`` (lists of (h,
            w, C) arrays), ``masks`` (G, gh, gw) and optionally ``img_path``
            and ``bad_files``.

    Returns:
        ``inputs``, a :class:`CropBatch`; ``img_paths``, a list of B paths (''
        if unknown); and ``bad_files``, the concatenated lists of the samples.

    Raises:
        ValueError: The global crops differ in size.
    """
    views = [_stack(crops)
             for crops in zip(*(sample['global_crops'] for sample in samples))]
    if len({crops.shape for crops in views}) != 1:
        raise ValueError('multi_crop_collate: all global crops must have one '
                         'size, got ' + ', '.join(
                             str(tuple(crops.shape[2:])) for crops in views))
    masks = torch.from_numpy(
        np.stack([sample['masks'] for sample in samples], axis=1))
    global_views = []
    for crops, mask in zip(views, masks):
        per_image = mask.flatten(1).sum(1)
        weight = 1 / (per_image * masks.shape[:2].numel()).clamp(min=1).float()
        global_views.append(
            GlobalView(crops, mask,
                       mask.flatten().nonzero().squeeze(1),
                       weight.repeat_interleave(per_image)))
    by_size: dict[tuple, list[np.ndarray]] = {}
    for crops in zip(*(sample['local_crops'] for sample in samples)):
        by_size.setdefault(crops[0].shape, []).extend(crops)
    local_crops = [_stack(crops).unflatten(0, (-1, len(samples)))
                   for crops in by_size.values()]
    return dict(
        inputs=CropBatch(global_views, local_crops),
        img_paths=[sample.get('img_path', '') for sample in samples],
        bad_files=[
            bad for sample in samples for bad in sample.get('bad_files', [])
        ])
