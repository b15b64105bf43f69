"""Labeled images that a checkpoint is evaluated on."""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from evaluation.protocol_configs import data_sets

from ibot_mm.datasets import LabeledDataset
from ibot_mm.datasets.image_lists import split_samples
from ibot_mm.evaluation.feature_cache import add_samples
from ibot_mm.registry import DATASETS


class Data(NamedTuple):
    """Properties of the data set."""

    num_classes: int
    num_train: int
    digest: str


def split_data(data_root: str, share: float | None, seed: int,
               out: Path) -> list[str] | None:
    """Write the lists of a random split.

    Args:
        data_root: Folder of the class folders.
        share: Part of each class to validate on; None for no split.
        seed: Seed of the split.
        out: Folder of the lists.

    Returns:
        Absolute paths of the lists for training and validation; None without
        a split.

    Raises:
        ValueError: The share is not between 0 and 1, or there are train/ and
            val/ already.
        FileNotFoundError: They are missing, and no split is wanted.
    """
    folders = [Path(data_root, name).is_dir() for name in ('train', 'val')]
    if share is None:
        if Path(data_root).is_dir() and not all(folders):
            raise FileNotFoundError(
                f'"{data_root}" has no train/ and val/; give the folder that '
                'holds the class folders, and --split 0.2 to validate on a '
                'fifth of each.')
        return None
    if not 0 < share < 1:
        raise ValueError(
            f'--split {share:g} must be between 0 and 1, such as 0.2.')
    if all(folders):
        raise ValueError(f'--split {share:g}: "{data_root}" has train/ and '
                         'val/ already; leave out --split.')
    data = LabeledDataset(data_root=data_root)
    samples = [(os.path.relpath(info['img_path'], data_root),
                info['gt_label'])
               for info in map(data.get_data_info, range(len(data)))]
    out.mkdir(parents=True, exist_ok=True)
    lists = [out / 'train.txt', out / 'val.txt']
    for path, part in zip(lists, split_samples(samples, share, seed)):
        path.write_text(''.join(f'{name} {label}\n' for name, label in part))
    return [str(path.resolve()) for path in lists]


def classes_from(data_root: str | None, lists: list[str] | None) -> str:
    """Folder whose folders are the classes of the training images."""
    return str(Path(data_root or '', '' if lists else 'train'))


def inspect_data(data_root: str, subset: str,
                 lists: list[str] | None) -> Data:
    """List the images, which raises on invalid data."""
    train, val = map(DATASETS.build, data_sets(data_root, subset, lists))
    digest = hashlib.sha256()
    for dataset in (train, val):
        add_samples(digest, dataset)
    return Data(len(train.metainfo['classes']), len(train),
                digest.hexdigest())
