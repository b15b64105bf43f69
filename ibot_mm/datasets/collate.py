"""Collation of samples with crops and masks."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ibot_mm.registry import FUNCTIONS


def _stack(samples: Sequence[dict], key: str) -> list[Tensor]:
    """Stack crops crop-major: one tensor (n B, C, h, w) per crop size."""
    by_size: dict[tuple, list[np.ndarray]] = {}
    for crops in zip(*(sample[key] for sample in samples)):
        by_size.setdefault(crops[0].shape, []).extend(crops)
    return [
        torch.from_numpy(_widened(np.stack(crops))).permute(0, 3, 1, 2)
        for crops in by_size.values()
    ]


def _widened(array: np.ndarray) -> np.ndarray:
    """Convert uint16 to int32: torch supports few operations on uint16."""
    return array.astype(np.int32) if array.dtype == np.uint16 else array


@FUNCTIONS.register_module()
def multi_crop_collate(samples: Sequence[dict]) -> dict:
    """Batch the output of ``MultiCrop`` and ``MaskGlobalCrops``.

    Crops are ordered crop-major: the first crop of each image, then the
    second of each, and so on. Indices of the masked patches are computed
    here, to avoid a synchronization with the device.

    Args:
        samples: Dicts with ``global_crops`` and ``local_crops`` (lists of (h,
            w, C) arrays), ``masks`` (G, gh, gw) and optionally ``img_path``
            and ``bad_files``.

    Returns:
        ``inputs``, a dict of ``batch_size`` B, ``global_crops`` (G B, C, H,
        W), ``local_crops`` (one (L_i B, C, h, w) tensor per size), ``mask``
        bool (G B, gh, gw), ``mask_index`` int64 (P,) into the G B gh gw
        patches, ``mask_weight`` float32 (P,), 1 / (masked patches of the
        image x G B), and ``masked_per_view``, a list of G ints that sum to P;
        ``img_paths``, a list of B paths ('' if unknown); and ``bad_files``,
        the concatenated lists of the samples.

    Raises:
        ValueError: The global crops differ in size.
    """
    global_crops = _stack(samples, 'global_crops')
    if len(global_crops) != 1:
        raise ValueError('multi_crop_collate: all global crops must have one '
                         'size, got ' + ', '.join(
                             str(tuple(c.shape[2:])) for c in global_crops))
    # (B, G, gh, gw) -> (G B, gh, gw)
    mask = torch.from_numpy(
        np.stack([sample['masks'] for sample in samples], axis=1)).flatten(
            0, 1)
    per_image = mask.flatten(1).sum(1)
    index = mask.flatten().nonzero().squeeze(1)
    weight = 1 / (per_image * len(mask)).clamp(min=1).float()
    return dict(
        inputs=dict(
            batch_size=len(samples),
            global_crops=global_crops[0],
            local_crops=_stack(samples, 'local_crops'),
            mask=mask,
            mask_index=index,
            mask_weight=weight.repeat_interleave(per_image),
            masked_per_view=per_image.view(-1, len(samples)).sum(1).tolist()),
        img_paths=[sample.get('img_path', '') for sample in samples],
        bad_files=[
            bad for sample in samples for bad in sample.get('bad_files', [])
        ])
