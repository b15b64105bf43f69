"""What a network computes of many images, in files of some images each."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import barrier, get_rank, get_world_size, is_main_process
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from ibot_mm.datasets.image_paths import ImagePaths, collate_images

from .embedder import Embedder


def weights_hash(module: nn.Module) -> str:
    """Hash of all weights and buffers of a module."""
    digest = hashlib.sha256()
    for value in module.state_dict().values():
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def check_shards(shards: Path, settings: dict[str, Any]) -> None:
    """Make the folder of shards.

    Args:
        shards: The folder.
        settings: All that determines what is computed.

    Raises:
        ValueError: It holds the shards of other settings.
    """
    text, path = json.dumps(settings, default=str), shards / 'settings.json'
    if is_main_process() and not path.exists():
        shards.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    barrier()
    if path.read_text() != text:
        raise ValueError(
            f'"{shards}" holds features of other images or settings: remove '
            'it, or choose another name for the output.')


def compute_shards(embedder: Embedder,
                   folder: Path,
                   names: Sequence[str],
                   shards: Path,
                   compute: Callable[[Tensor], dict[str, np.ndarray]],
                   workers: int = 4,
                   shard_size: int = 4096,
                   progress: bool = True) -> int:
    """Compute the shards that are missing; processes share them.

    Args:
        embedder: Preparation of the images, and the batch size.
        folder: Folder of the images.
        names: Their names, relative to it.
        shards: Folder of the shards: ``names``, ``bad`` (path and reason of
            files that could not be read) and the arrays of ``compute``.
        compute: Maps prepared images (B, C, H, W) to arrays (B, ...).
        workers: Number of processes that read images, per process.
        shard_size: Number of images per shard.
        progress: Whether to show a progress bar.

    Returns:
        Number of shards.
    """
    parts = [names[start:start + shard_size]
             for start in range(0, len(names), shard_size)]
    mine = range(get_rank(), len(parts), get_world_size())
    bar = tqdm(total=sum(len(parts[i]) for i in mine), unit=' images',
               disable=not (progress and is_main_process()))
    for i in mine:
        target = shards / f'{i}.npz'
        if target.is_file():
            bar.update(len(parts[i]))
            continue
        loader = DataLoader(
            ImagePaths(folder, parts[i], embedder.load),
            embedder.batch_size, num_workers=workers,
            collate_fn=collate_images)
        done, bad = [], []
        arrays: dict[str, list[np.ndarray]] = {}
        for batch, inputs, unread in loader:
            bad += unread
            if inputs is not None:
                done += batch
                for name, values in compute(inputs).items():
                    arrays.setdefault(name, []).append(values)
            bar.update(len(batch) + len(unread))
        temporary = target.with_suffix('.tmp')
        with temporary.open('wb') as file:
            np.savez(file, names=np.array(done, dtype=str),
                     bad=np.array(bad, dtype=str).reshape(-1, 2),
                     **{k: np.concatenate(v) for k, v in arrays.items()})
        temporary.replace(target)
    bar.close()
    barrier()
    return len(parts)


def read_shards(shards: Path, count: int, name: str) -> Iterator[np.ndarray]:
    """An array of each shard that has it."""
    for i in range(count):
        with np.load(shards / f'{i}.npz') as content:
            if name in content:
                yield content[name]
