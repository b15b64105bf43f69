"""Write the features of many images to a file."""

import shutil
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import barrier, is_main_process
from torch import Tensor

from ibot_mm.datasets.evaluation_dataset import BadFile
from ibot_mm.datasets.image_paths import find_images
from ibot_mm.dependencies import import_optional

from .embedder import Embedder, ImageFeatures
from .feature_file import FORMATS, write_features
from .shards import check_shards, compute_shards, read_shards, weights_hash

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
    check_shards(shards, dict(
        weights=weights_hash(embedder.backbone),
        architecture=embedder.architecture, pipeline=embedder.pipeline,
        normalization=embedder.normalization,
        features=features, layer=layer, shard_size=shard_size,
        images=str(folder.resolve()), names=names))

    def compute(inputs: Tensor) -> dict[str, np.ndarray]:
        return dict(features=select_features(
            embedder.encode(inputs, layer), features).numpy())

    count = compute_shards(embedder, folder, names, shards, compute, workers,
                           shard_size, progress)
    bad = [BadFile(*pair) for pair in np.concatenate(list(
        read_shards(shards, count, 'bad'))).tolist()]
    if is_main_process():
        _finish(out, shards, count, bad)
    barrier()
    return bad


def _finish(out: Path, shards: Path, count: int, bad: list[BadFile]) -> None:
    """Join the shards, and list the bad files."""
    listed = Path(f'{out}.unreadable.txt')
    listed.unlink(missing_ok=True)
    if bad:
        listed.write_text(''.join(f'{path}: {reason}\n'
                                  for path, reason in bad),
                          encoding='utf-8', errors='surrogateescape')
    names = np.concatenate(list(read_shards(shards, count, 'names'))).tolist()
    if not names:
        raise ValueError(f'none of the {len(bad)} images can be read: see '
                         f'"{listed}".')
    write_features(out, names, (
        part for part in read_shards(shards, count, 'features') if len(part)))
    shutil.rmtree(shards)
