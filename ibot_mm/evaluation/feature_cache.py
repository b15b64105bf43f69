"""Features on disk, for protocols that share them."""

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
    """Let a hash depend on the images of a data set and their labels.

    Args:
        digest: Object of ``hashlib``.
        dataset: Its paths and labels count, and images held in memory.
    """
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        digest.update(f'{info.get("img_path")} {info["gt_label"]}\n'.encode())
        if 'img' in info:  # data sets that are held in memory
            digest.update(np.ascontiguousarray(info['img']).data)


class FeatureCache:
    """A folder of features, named by what they depend on.

    The name is a hash of the weights, of how features are taken from them, of
    the image paths with their labels and of the transforms. Images that
    change under the same path are not noticed.

    Args:
        folder: Where the files are; made if needed.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def path(self, model: nn.Module, settings: str,
             dataset: Dataset) -> Path:
        """File for the features of a data set.

        Args:
            model: Its weights count.
            settings: Everything else that features depend on, in words.
            dataset: Its samples count.
        """
        digest = hashlib.sha256(settings.encode())
        _add_weights(digest, model)
        add_samples(digest, dataset)
        return self.folder / f'features_{digest.hexdigest()[:24]}.pt'

    def load(self, path: Path) -> Features | None:
        """Features in a file, or None if not all ranks see it."""
        everywhere = torch.tensor(int(path.is_file()))
        all_reduce(everywhere, 'min')
        if not everywhere:
            return None
        print_log(f'features from {path}', 'current', logging.INFO)
        content = torch.load(path, 'cpu', weights_only=True)
        return Features(content['vectors'], content['labels'])

    def save(self, path: Path, features: Features) -> None:
        """Write features, whole or not at all; one rank does it."""
        if is_main_process():
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(f'.tmp{os.getpid()}')
            torch.save(features._asdict(), temporary)
            temporary.replace(path)
        barrier()
