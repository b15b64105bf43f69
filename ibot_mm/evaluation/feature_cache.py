"""On-disk cache of features, shared by the protocols."""

import hashlib
import logging
import os
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import all_reduce, barrier, is_main_process
from mmengine.logging import print_log
from torch import nn
from torch.utils.data import Dataset

from .features import Features


def _add_weights(digest, model: nn.Module) -> None:
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        value = value.detach().cpu().contiguous()
        digest.update(value.flatten().view(torch.uint8).numpy().data)


def add_samples(digest, dataset: Dataset) -> None:
    """Add the samples of a data set to a hash.

    Args:
        digest: ``hashlib`` object.
        dataset: Data set whose paths, labels and in-memory images are added.
    """
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        digest.update(f'{info.get("img_path")} {info["gt_label"]}\n'.encode())
        if 'img' in info:  # in-memory data sets
            digest.update(np.ascontiguousarray(info['img']).data)


class FeatureCache:
    """Cache of features, keyed by everything that determines them.

    The file name is a hash of the weights, the feature settings, the image
    paths with their labels and the transforms. Changed images under the same
    path are not detected.

    Args:
        folder: Cache folder; created if needed.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def path(self, model: nn.Module, settings: str,
             dataset: Dataset) -> Path:
        """Cache file for the features of a data set.

        Args:
            model: Model whose weights enter the hash.
            settings: All other settings that determine the features.
            dataset: Data set whose samples enter the hash.
        """
        digest = hashlib.sha256(settings.encode())
        _add_weights(digest, model)
        add_samples(digest, dataset)
        return self.folder / f'features_{digest.hexdigest()[:24]}.pt'

    def load(self, path: Path) -> Features | None:
        """Load cached features; None unless all ranks see the file."""
        everywhere = torch.tensor(int(path.is_file()))
        all_reduce(everywhere, 'min')
        if not everywhere:
            return None
        print_log(f'features from {path}', 'current', logging.INFO)
        content = torch.load(path, 'cpu', weights_only=True)
        return Features(content['vectors'], content['labels'])

    def save(self, path: Path, features: Features) -> None:
        """Write features atomically, on the main process."""
        if is_main_process():
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(f'.tmp{os.getpid()}')
            torch.save(features._asdict(), temporary)
            temporary.replace(path)
        barrier()
