"""The prototypes that the tokens of many images belong to."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ibot_mm.checkpoints.architecture import neck_config
from ibot_mm.checkpoints.load import CheckpointError, load_checkpoint
from ibot_mm.checkpoints.official.state_dict import strip_prefix
from ibot_mm.checkpoints.pretrained import (
    require_neck,
    select_network,
    weights_of,
)
from ibot_mm.checkpoints.stored_config import stored_config
from ibot_mm.checkpoints.strict import load_strict
from ibot_mm.registry import MODELS

from .embedder import Embedder, ImageFeatures
from .shards import check_shards, compute_shards, read_shards, weights_hash

# Patches whose logits are in memory at a time: 256 MiB with 8192 prototypes.
CHUNK = 8192


class PrototypeAssignment(NamedTuple):
    """The prototype of largest logit of each token of N images.

    Attributes:
        names: Paths of the images that can be read.
        cls_logits: Logit of the CLS token, float32 (N, 1).
        cls_prototypes: Its prototype, int32 (N, 1).
        patch_logits: Logits of the patches, float32 (N, P).
        patch_prototypes: Their prototypes, int32 (N, P).
    """

    names: list[str]
    cls_logits: np.ndarray
    cls_prototypes: np.ndarray
    patch_logits: np.ndarray
    patch_prototypes: np.ndarray


def load_neck(checkpoint: str, network: str = 'teacher') -> nn.Module:
    """The projection head of a checkpoint, in eval mode, on the CPU.

    Args:
        checkpoint: Everything that
            :func:`~ibot_mm.checkpoints.pretrained.select_network` knows.
        network: 'teacher' or 'student', for checkpoints that hold both.

    Raises:
        CheckpointError: It has none.
    """
    content = load_checkpoint(checkpoint)
    try:
        state = require_neck(select_network(content, network))
    except CheckpointError as error:
        raise CheckpointError(f'"{checkpoint}": {error}') from error
    state = strip_prefix(state, 'neck.')
    stored = (stored_config(content).get('model') or {}).get('neck') or {}
    # Weights do not show the activation.
    settings = {k: stored[k] for k in stored.keys() & {'act_cfg'}}
    neck = MODELS.build(neck_config(state, **settings))
    load_strict(neck, dict(state), checkpoint)
    return neck.eval()


def load_centers(checkpoint: str) -> tuple[Tensor, Tensor]:
    """Centers of the logits of CLS and patch tokens, (K, ) each.

    Raises:
        CheckpointError: The checkpoint is not one of a pre-training.
    """
    names = 'head.center.value', 'head.patch_center.value'
    try:
        weights = weights_of(load_checkpoint(checkpoint))
        return weights[names[0]], weights[names[1]]
    except (CheckpointError, KeyError):
        raise CheckpointError(
            f'"{checkpoint}" has no "{names[0]}": only a full checkpoint of '
            'a pre-training with this package has the centers.') from None


@torch.no_grad()
def largest_logits(neck: nn.Module, tokens: ImageFeatures,
                   centers: tuple[Tensor | int, Tensor | int] = (0, 0)
                   ) -> dict[str, np.ndarray]:
    """Largest logit of each token, and its prototype.

    Args:
        neck: Projection head.
        tokens: ``cls`` (B, C) and ``patches`` (B, h, w, C); ``patch_mean`` is
            not used.
        centers: As of :func:`assign_prototypes`, on the device of the neck.

    Returns:
        The arrays of :class:`PrototypeAssignment`.
    """
    device = next(neck.parameters()).device
    arrays = {}
    for kind, layer, center, values in (
            ('cls', neck.last_layer, centers[0], tokens.cls[:, None]),
            ('patch', neck.patch_layer, centers[1],
             tokens.patches.flatten(1, 2))):
        parts = [(layer(neck.project(part.to(device).float())) - center).max(1)
                 for part in values.flatten(0, 1).split(CHUNK)]
        logits, prototypes = (torch.cat(part).view(values.shape[:2]).cpu()
                              for part in zip(*parts))
        arrays[f'{kind}_logits'] = logits.numpy()
        arrays[f'{kind}_prototypes'] = prototypes.int().numpy()
    return arrays


def assign_prototypes(embedder: Embedder,
                      neck: nn.Module,
                      paths: list[str],
                      cache: str | Path,
                      workers: int = 4,
                      shard_size: int = 1024,
                      centers: tuple[Tensor, Tensor] | None = None
                      ) -> PrototypeAssignment:
    """Find the prototype of largest logit of every token.

    Finished shards of images are kept in a folder of ``cache`` whose name is
    a hash of weights, paths and preparation: an interrupted call is
    continued, a finished one is read.

    Args:
        embedder: Backbone, and preparation of the images.
        neck: Projection head.
        paths: Of the images; all are cropped to the same size.
        cache: Folder for the shards.
        workers: Number of processes that read images.
        shard_size: Number of images per shard.
        centers: Of :func:`load_centers`, which are subtracted from the
            logits as in the targets of the training; None for raw logits, as
            in the paper's figures.

    Raises:
        ValueError: None of the images can be read.
    """
    digest = hashlib.sha256(repr((
        paths, embedder.pipeline, embedder.normalization,
        embedder.architecture, weights_hash(embedder.backbone),
        weights_hash(neck), shard_size)).encode())
    for center in centers or ():
        digest.update(center.numpy().tobytes())
    offsets = [center.to(embedder.device) for center in centers
               ] if centers else (0, 0)
    neck = neck.to(embedder.device)
    shards = Path(cache, f'prototypes_{digest.hexdigest()[:16]}')
    check_shards(shards, dict(images=len(paths)))
    count = compute_shards(
        embedder, Path(), paths, shards,
        lambda inputs: largest_logits(neck, embedder.encode(inputs), offsets),
        workers, shard_size)
    arrays = {name: list(read_shards(shards, count, name))
              for name in PrototypeAssignment._fields}
    if not arrays['cls_logits']:
        raise ValueError(f'none of {len(paths)} images can be read.')
    names = np.concatenate(arrays.pop('names')).tolist()
    return PrototypeAssignment(names, **{
        name: np.concatenate(parts) for name, parts in arrays.items()})
