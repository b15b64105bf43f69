"""Feature extraction from images."""

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from mmengine.dist import (
    all_gather,
    all_reduce,
    get_rank,
    get_world_size,
)
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

UNLABELED = torch.tensor([-1])


class Features(NamedTuple):
    """Features of a data set in its order, on the CPU.

    Attributes:
        vectors: (N, C), float32.
        labels: int64 (N,); -1 for images without a label.
    """

    vectors: Tensor
    labels: Tensor


def gather_rows(tensor: Tensor, chunk_size: int = 65536) -> Tensor:
    """Gather the rows of all ranks, whose numbers of rows may differ.

    Gathers in chunks, because GPU backends gather in device memory.

    Args:
        tensor: This rank's rows, (n, ...).
        chunk_size: Number of rows per rank that are gathered at a time.

    Returns:
        The rows of all ranks, in the order of the ranks.
    """
    if get_world_size() == 1:
        return tensor
    counts = [int(c) for c in all_gather(tensor.new_tensor(
        [len(tensor)], dtype=torch.long))]
    result = tensor.new_empty(sum(counts), *tensor.shape[1:])
    parts = result.split(counts)
    for start in range(0, max(counts), chunk_size):
        size = min(chunk_size, max(counts) - start)
        mine = tensor[start:start + size]
        padded = tensor.new_zeros(size, *tensor.shape[1:])
        padded[:len(mine)] = mine
        for part, rows in zip(parts, all_gather(padded)):
            target = part[start:start + size]
            target.copy_(rows[:len(target)])
    return result


def rank_loader(dataset: Dataset, batch_size: int,
                num_workers: int) -> DataLoader:
    """Lists of this rank's samples: each sample once, on one rank.

    It draws no number of the global random generator.
    """
    return DataLoader(
        dataset,
        batch_size,
        sampler=range(get_rank(), len(dataset), get_world_size()),
        num_workers=num_workers,
        collate_fn=list,
        generator=torch.Generator())


def joined(vectors: list[Tensor]) -> Tensor:
    """Concatenate batches; a rank without images gets the same width."""
    width = torch.tensor(vectors[0].shape[1] if vectors else 0)
    all_reduce(width, 'max')
    return torch.cat(vectors) if vectors else torch.zeros(0, int(width))


def _check(vectors: Tensor, samples: list, labeled: bool) -> None:
    """Raise on non-finite features and on samples that lack a label."""
    for sample in samples:
        if labeled and 'gt_label' not in sample:
            raise ValueError(
                'the evaluation on features needs labels, but the data set '
                'has none: set val_dataloader and bank_dataloader to labeled '
                'images, evaluate without labels (val_cfg.type='
                'ibot_mm.TeacherValLoop), or switch validation off with '
                '--no-validate.')
    bad = (~torch.isfinite(vectors).all(1)).nonzero().flatten().tolist()
    if bad:
        name = samples[bad[0]].get('img_path', f'image {bad[0]} of a batch')
        raise ValueError(
            f'the features of "{name}" contain NaN or infinity: the '
            'checkpoint is damaged, or the preprocessing of the image does '
            'not match the model.')


@torch.no_grad()
def extract_features(encode: Callable[[Tensor], Tensor],
                     preprocessor: nn.Module,
                     dataloader: DataLoader,
                     log_interval: int = 0,
                     bad_files: list[tuple[str, str]] | None = None,
                     labeled: bool = True) -> Features:
    """Extract the features of a data set, distributed over ranks.

    Args:
        encode: Maps normalized images (B, C_in, H, W) to vectors (B, C).
        preprocessor: The model's data preprocessor.
        dataloader: This rank's batches, with ``inputs`` and
            ``data_samples``.
        log_interval: Number of batches between progress lines; 0 for none.
        bad_files: List to which this rank's files and reasons of
            ``collate_readable`` are added; these samples are left out.
        labeled: Whether all images must have a label.

    Returns:
        Features of the complete data set on every rank, each sample once.

    Raises:
        ValueError: A sample lacks its label, a feature is non-finite, or
            there are no images.
    """
    vectors, labels, places = [], [], []
    start = time.perf_counter()
    for i, data in enumerate(dataloader):
        bad = data.pop('bad_files', [])
        if bad_files is not None:
            bad_files += bad
        if not len(data['inputs']):
            continue
        data = preprocessor(data, False)
        vectors.append(encode(data['inputs']).float().cpu())
        samples = data['data_samples']
        _check(vectors[-1], samples, labeled)
        labels.append(torch.cat([
            s.gt_label.cpu() if 'gt_label' in s else UNLABELED
            for s in samples]))
        places.extend(s.sample_idx for s in samples)
        if log_interval and (i + 1) % log_interval == 0:
            left = (time.perf_counter() - start) * (len(dataloader) / (i + 1)
                                                    - 1)
            print_log(
                f'features [{i + 1}/{len(dataloader)}]  eta: {left:.0f} s',
                'current', logging.INFO)
    place = gather_rows(torch.tensor(places, dtype=torch.long))
    if not len(place):
        raise ValueError('the data set has no readable images.')
    # Samplers may repeat samples to give all ranks equally many.
    order = torch.full((int(place.max()) + 1, ), -1)
    order[place] = torch.arange(len(place))
    order = order[order >= 0]
    own = joined(vectors)
    del vectors
    label = torch.cat(labels or [torch.zeros(0, dtype=torch.long)])
    return Features(gather_rows(own)[order], gather_rows(label)[order])
