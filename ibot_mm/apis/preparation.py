"""How images are prepared for the network of a checkpoint."""

from collections.abc import Sequence
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.paths import config_path

# Transforms that a config in a checkpoint may name.
_TRANSFORMS = {'LoadImage', 'LoadImageFromFile', 'Resize', 'ResizeEdge',
               'CenterCrop', 'PackInputs'}
# Mean and standard deviation of ImageNet, RGB, in pixel values.
IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
                to_rgb=True)


def _name(step: dict) -> str:
    """Type of a transform without the scope of a registry."""
    name = str(step.get('type'))
    return name.removeprefix('ibot_mm.').removeprefix('mmpretrain.')


def _stored(config: dict[str, Any], part: str) -> list[dict]:
    """Transforms of a data loader of the run."""
    loader = config.get(f'{part}_dataloader') or {}
    return (loader.get('dataset') or {}).get('pipeline') or []


def image_pipeline(config: dict[str, Any], channels: int,
                   resize: int | None = None,
                   crop: int | None = None) -> list[dict]:
    """Transforms of the run's validation, or of the k-NN protocol.

    Args:
        config: Settings of the run; {} if they are not known.
        channels: Number of input channels of the network.
        resize: Length of the short edge; None for 256, if ``crop`` is given
            or the run has no validation.
        crop: Side of the center crop; as ``resize``, for 224.

    Returns:
        Configs of transforms that end with ``PackInputs``.
    """
    steps = _stored(config, 'val')
    if steps and not (resize or crop) and (
            {_name(step) for step in steps} <= _TRANSFORMS):
        return steps
    load = next((step for step in _stored(config, 'train')
                 if _name(step) == 'LoadImage'), None)
    if load is None and channels != 3:
        load = dict(color='unchanged', channels=channels)
    changes = dict(LoadImage=load or {},
                   ResizeEdge=dict(scale=resize) if resize else {},
                   CenterCrop=dict(crop_size=crop) if crop else {})
    protocol = Config.fromfile(config_path(
        '_base_/datasets/imagenet_center-crop.py')).test_pipeline
    return [{**step, **changes.get(_name(step), {})} for step in protocol]


def normalization(config: dict[str, Any], channels: int,
                  mean: Sequence[float] | None = None,
                  std: Sequence[float] | None = None) -> dict[str, Any]:
    """``mean``, ``std`` and ``to_rgb``, given, of the run or of ImageNet.

    Args:
        config: Settings of the run; {} if they are not known.
        channels: Number of input channels of the network.
        mean: Per channel, in pixel values; RGB if there are three.
        std: Per channel; goes with ``mean``.

    Raises:
        CheckpointError: They are not known, and there are not 3 channels.
    """
    if mean is not None:
        return dict(mean=list(mean), std=list(std or ()), to_rgb=True)
    model = config.get('model') or {}
    stored = model.get('data_preprocessor') or config.get(
        'data_preprocessor') or {}
    if stored.get('mean') is not None:
        return dict(mean=stored['mean'], std=stored.get('std'),
                    to_rgb=stored.get('to_rgb', False))
    if channels != 3:
        raise CheckpointError(
            f'the checkpoint has {channels} input channels, and no config '
            'that tells their normalization: set mean and std.')
    print_log("the checkpoint tells no normalization: ImageNet's is used",
              'current')
    return dict(IMAGENET)


def in_words(pipeline: list[dict], values: dict[str, Any]) -> str:
    """One line about transforms and normalization."""
    steps = [
        f'{_name(step)}('
        + ', '.join(f'{k}={v}' for k, v in step.items() if k != 'type')
        + ')' for step in pipeline
    ]
    return ', '.join([*steps, *(f'{k}={v}' for k, v in values.items())])
