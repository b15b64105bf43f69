"""Write the features of many images to a file."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import barrier, get_rank, get_world_size, is_main_process
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from ibot_mm.datasets.image_paths import (
    ImagePaths,
    collate_images,
    find_images,
)
from ibot_mm.datasets.labeled import BadFile
from ibot_mm.dependencies import import_optional

from .embedder import Embedder, ImageFeatures
from .feature_file import FORMATS, write_features

FEATURES = ('cls', 'patch_mean', 'cls_patch_mean', 'patches')


def select_features(found: ImageFeatures, features: str) -> Tensor:
    """One of ``FEATURES``: (B, C), (B, 2 C) or (B, h, w, C)."""
    if features == 'cls_patch_mean':
        return torch.cat([found.cls, found.patch_mean], 1)
    return getattr(found, features)


def embed_images(embedder: Embedder,
                 images: str | Path,
                 out: str | Path,
                 features: str = 'cls',
                 layer: int = -1,
                 workers: int = 4,
                 shard_size: int = 4096,
                 progress: bool = True) -> list[BadFile]:
    """Write the features of a folder or list of images to a file.

    Images are computed in shards, which the processes of a distributed run
    share. Finished ones are kept in ``<out>.shards``, so the same call
    continues after an interruption; the folder is removed at the end.

    Args:
        embedder: Network and preparation of the images.
        images: As of :func:`~ibot_mm.datasets.image_paths.find_images`.
        out: File that
            :func:`~ibot_mm.apis.feature_file.write_features` writes.
        features: 'cls', 'patch_mean', 'cls_patch_mean' (both concatenated) or
            'patches' (the grid of patch tokens).
        layer: As of :meth:`Embedder.encode`.
        workers: Number of processes that read images, per process.
        shard_size: Number of images per shard.
        progress: Whether to show a progress bar.

    Returns:
        Files that could not be read, which are left out. They are also in
        ``<out>.unreadable.txt``, if there are any.

    Raises:
        FileNotFoundError: There are no such images.
        ValueError: The format is unknown, no image can be read, or the shards
            are of another call.
    """
    out = Path(out)
    if out.suffix not in FORMATS:
        raise ValueError(f'the format of "{out}" is not known: its name must '
                         f'end in {", ".join(FORMATS)}.')
    if out.suffix == '.parquet':  # before all the work
        import_optional('pyarrow', f'"{out}"')
    folder, names = find_images(images)
    shards = Path(f'{out}.shards')
    _check_shards(shards, dict(
        weights=_digest(embedder), pipeline=embedder.pipeline,
        normalization=embedder.normalization,
        features=features, layer=layer, shard_size=shard_size,
        images=str(folder.resolve()), names=names))
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
        done, vectors, bad = [], [], []
        for batch, inputs, unread in loader:
            bad += unread
            if inputs is not None:
                done += batch
                vectors.append(select_features(
                    embedder.encode(inputs, layer), features).numpy())
            bar.update(len(batch) + len(unread))
        temporary = target.with_suffix('.tmp')
        with temporary.open('wb') as file:
            np.savez(file, names=np.array(done, dtype=str), features=(
                np.concatenate(vectors) if vectors else np.zeros(0)),
                bad=np.array(bad, dtype=str).reshape(-1, 2))
        temporary.replace(target)
    bar.close()
    barrier()
    bad = [BadFile(*pair) for pair in np.concatenate(list(
        _read(shards, len(parts), 'bad'))).tolist()]
    if is_main_process():
        _finish(out, shards, len(parts), bad)
    barrier()
    return bad


def _digest(embedder: Embedder) -> str:
    """Hash of a tensor that every step of a training changes."""
    kernel = embedder.backbone.patch_embed.projection.weight.detach()
    return hashlib.sha256(kernel.cpu().numpy().tobytes()).hexdigest()


def _check_shards(shards: Path, settings: dict) -> None:
    """Make the folder of shards, or raise if it is of another call."""
    text, path = json.dumps(settings, default=str), shards / 'settings.json'
    if is_main_process() and not path.exists():
        shards.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    barrier()
    if path.read_text() != text:
        raise ValueError(
            f'"{shards}" holds features of other images or settings: remove '
            'it, or choose another name for the output.')


def _read(shards: Path, count: int, name: str) -> Iterator[np.ndarray]:
    """An array of each shard."""
    for i in range(count):
        with np.load(shards / f'{i}.npz') as content:
            yield content[name]


def _finish(out: Path, shards: Path, count: int, bad: list[BadFile]) -> None:
    """Join the shards, and list the bad files."""
    listed = Path(f'{out}.unreadable.txt')
    listed.unlink(missing_ok=True)
    if bad:
        listed.write_text(''.join(f'{path}: {reason}\n'
                                  for path, reason in bad), encoding='utf-8')
    names = np.concatenate(list(_read(shards, count, 'names'))).tolist()
    if not names:
        raise ValueError(f'none of the {len(bad)} images can be read: see '
                         f'"{listed}".')
    write_features(out, names, (
        part for part in _read(shards, count, 'features') if len(part)))
    shutil.rmtree(shards)
