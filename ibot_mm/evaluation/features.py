"""Features of labelled images."""

from typing import Callable, List, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader


@torch.no_grad()
def extract_features(encode: Callable[[Tensor], Tensor],
                     preprocessor: nn.Module,
                     dataloader: DataLoader) -> Tuple[Tensor, Tensor]:
    """Encode this rank's part of a labelled data set.

    Args:
        encode: Maps normalised images (B, C_in, H, W) to vectors (B, C).
        preprocessor: The model's data preprocessor.
        dataloader: Batches with ``inputs`` and ``data_samples``.

    Returns:
        Features (n, C), float32, of unit length, and labels int64 (n,).

    Raises:
        ValueError: A sample has no label.
    """
    features: List[Tensor] = []
    labels: List[Tensor] = []
    for data in dataloader:
        data = preprocessor(data, False)
        features.append(
            F.normalize(encode(data['inputs']).float(), dim=-1))
        for sample in data['data_samples']:
            if 'gt_label' not in sample:
                raise ValueError(
                    'k-NN needs labels, but the data set gives none: point '
                    'val_dataloader and bank_dataloader at labelled images, '
                    'or switch validation off with --no-validate.')
            labels.append(sample.gt_label)
    return torch.cat(features), torch.cat(labels).to(features[0].device)
