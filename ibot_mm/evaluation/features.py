"""Features of labelled images."""

import logging
import time
from typing import Callable, NamedTuple

import torch
from mmengine.dist import all_gather, get_world_size
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.utils.data import DataLoader


class Features(NamedTuple):
    """Features of a data set, in its order, on the CPU.

    Attributes:
        vectors: (N, C), float32.
        labels: int64 (N,).
    """

    vectors: Tensor
    labels: Tensor


def gather_rows(tensor: Tensor) -> Tensor:
    """Rows of all ranks, which may hold different numbers of them."""
    if get_world_size() == 1:
        return tensor
    counts = [int(c) for c in all_gather(tensor.new_tensor(
        [len(tensor)], dtype=torch.long))]
    padded = tensor.new_zeros(max(counts), *tensor.shape[1:])
    padded[:len(tensor)] = tensor
    return torch.cat(
        [rows[:count] for rows, count in zip(all_gather(padded), counts)])


def _check(vectors: Tensor, samples: list) -> None:
    """Refuse features that are not finite, and samples without a label."""
    for sample in samples:
        if 'gt_label' not in sample:
            raise ValueError(
                'k-NN and its kin need labels, but the data set gives none: '
                'point val_dataloader and bank_dataloader at labelled images, '
                'or switch validation off with --no-validate.')
    bad = (~torch.isfinite(vectors).all(1)).nonzero().flatten().tolist()
    if bad:
        name = samples[bad[0]].get('img_path', f'image {bad[0]} of a batch')
        raise ValueError(
            f'the features of "{name}" hold NaN or infinite values: the '
            'checkpoint is broken, or the image is not what the network '
            'expects.')


@torch.no_grad()
def extract_features(encode: Callable[[Tensor], Tensor],
                     preprocessor: nn.Module,
                     dataloader: DataLoader,
                     log_interval: int = 0) -> Features:
    """Encode a labelled data set; the ranks share the work and the result.

    Args:
        encode: Maps normalised images (B, C_in, H, W) to vectors (B, C).
        preprocessor: The model's data preprocessor.
        dataloader: This rank's batches, with ``inputs`` and
            ``data_samples``.
        log_interval: Batches between lines about the progress; 0 for none.

    Returns:
        Features of the whole data set on every rank, each sample once.

    Raises:
        ValueError: A sample has no label, or a feature is not finite.
    """
    vectors, labels, places = [], [], []
    start = time.perf_counter()
    for i, data in enumerate(dataloader):
        data = preprocessor(data, False)
        vectors.append(encode(data['inputs']).float().cpu())
        samples = data['data_samples']
        _check(vectors[-1], samples)
        labels.append(torch.cat([s.gt_label for s in samples]).cpu())
        places.extend(s.sample_idx for s in samples)
        if log_interval and (i + 1) % log_interval == 0:
            left = (time.perf_counter() - start) * (len(dataloader) / (i + 1)
                                                    - 1)
            print_log(
                f'features [{i + 1}/{len(dataloader)}]  eta: {left:.0f} s',
                'current', logging.INFO)
    place = gather_rows(torch.tensor(places))
    # Samplers may repeat samples so that all ranks have equally many.
    order = torch.full((int(place.max()) + 1, ), -1)
    order[place] = torch.arange(len(place))
    order = order[order >= 0]
    return Features(
        gather_rows(torch.cat(vectors))[order],
        gather_rows(torch.cat(labels))[order])
