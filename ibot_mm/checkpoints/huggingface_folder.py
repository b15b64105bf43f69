"""Folders of Hugging Face: config, weights, preparation of images, card."""

import json
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.utils import to_2tuple

from ibot_mm.dependencies import import_optional

from .huggingface import State, from_huggingface
from .load import CheckpointError

# By Pillow's numbers.
FILTERS = 'nearest', 'lanczos', 'bilinear', 'bicubic'


def image_processor(pipeline: list[dict[str, Any]],
                    normalization: dict[str, Any]) -> dict[str, Any] | None:
    """Content of ``preprocessor_config.json``.

    Args:
        pipeline: Transforms of MMPretrain: ``Resize`` or ``ResizeEdge``, and
            ``CenterCrop``.
        normalization: ``mean``, ``std`` and ``to_rgb``.

    Returns:
        None if the images are not RGB.
    """
    if len(normalization['mean']) != 3 or not normalization['to_rgb']:
        return None
    steps = {step['type'].rpartition('.')[2]: step for step in pipeline}
    result = dict(
        image_processor_type='BitImageProcessor', do_convert_rgb=True,
        do_rescale=True, rescale_factor=1 / 255, do_normalize=True,
        image_mean=[x / 255 for x in normalization['mean']],
        image_std=[x / 255 for x in normalization['std']],
        do_resize=True, do_center_crop='CenterCrop' in steps)
    if 'CenterCrop' in steps:
        height, width = to_2tuple(steps['CenterCrop']['crop_size'])
        result['crop_size'] = dict(height=height, width=width)
    resize = steps.get('ResizeEdge') or steps.get('Resize')
    if resize:
        result['resample'] = FILTERS.index(
            resize.get('interpolation', 'bilinear'))
    if 'ResizeEdge' in steps:
        result['size'] = dict(shortest_edge=resize['scale'])
    elif resize:
        width, height = to_2tuple(resize['scale'])
        result['size'] = dict(height=height, width=width)
    else:
        result['do_resize'] = False
    return result


def _pipeline(images: dict[str, Any]) -> list[dict[str, Any]]:
    """MMPretrain's transforms for a ``preprocessor_config.json``."""
    steps: list[dict[str, Any]] = [dict(type='ibot_mm.LoadImage')]
    options = dict(backend='pillow',
                   interpolation=FILTERS[images.get('resample', 2)])
    size, crop = images.get('size'), images.get('crop_size')
    if images.get('do_resize', True) and size:
        if isinstance(size, int):
            size = dict(height=size, width=size)
        if 'shortest_edge' in size:
            steps.append(dict(type='ResizeEdge', edge='short',
                              scale=size['shortest_edge'], **options))
        else:
            steps.append(dict(type='Resize', scale=(
                size['width'], size['height']), **options))
    if images.get('do_center_crop') and crop:
        steps.append(dict(type='CenterCrop', crop_size=(
            crop if isinstance(crop, int) else
            (crop['height'], crop['width']))))
    return [*steps, dict(type='PackInputs')]


def read_folder(folder: str) -> dict[str, Any]:
    """A folder as a checkpoint of this package.

    Its ``meta.cfg`` has the number of heads and the preparation of images, as
    that of a run.

    Args:
        folder: With ``config.json``, ``model.safetensors`` and, if images
            have to be prepared, ``preprocessor_config.json``.

    Raises:
        CheckpointError: A file is missing, or it is no backbone that
            :func:`from_huggingface` knows.
    """
    safetensors = import_optional('safetensors.torch', f'"{folder}"')
    path = Path(folder)
    found = {name: path / name for name in ('config.json',
                                            'model.safetensors')}
    for name, file in found.items():
        if not file.is_file():
            raise CheckpointError(
                f'the folder "{folder}" has no {name}: give a file, or a '
                'folder of Hugging Face with config.json and '
                'model.safetensors.')
    config = json.loads(found['config.json'].read_text())
    state = from_huggingface(
        safetensors.load_file(found['model.safetensors']), config)
    size = config['image_size']
    settings: dict[str, Any] = dict(model=dict(backbone=dict(
        arch=dict(num_heads=config['num_attention_heads']),
        img_size=size if isinstance(size, int) else tuple(size),
        norm_cfg=dict(type='LN', eps=config['layer_norm_eps']),
        interpolate_offset=0.)))  # as transformers resizes positions
    images = path / 'preprocessor_config.json'
    if images.is_file():
        images = json.loads(images.read_text())
        settings['data_preprocessor'] = dict(
            mean=[255 * x for x in images['image_mean']],
            std=[255 * x for x in images['image_std']], to_rgb=True)
        settings['val_dataloader'] = dict(dataset=dict(
            pipeline=_pipeline(images)))
    return dict(
        state_dict={f'backbone.{k}': v for k, v in state.items()},
        meta=dict(cfg=Config(settings).pretty_text))


def write_folder(folder: Path, config: dict[str, Any], weights: State,
                 images: dict[str, Any] | None, card: str) -> None:
    """Write a folder that transformers loads and that can be uploaded.

    Args:
        folder: Created if needed.
        config: From :func:`to_huggingface`.
        weights: From :func:`to_huggingface`.
        images: Content of ``preprocessor_config.json``; None for no such
            file.
        card: Text of the model card, ``README.md``.
    """
    safetensors = import_optional('safetensors.torch', f'"{folder}"')
    folder.mkdir(parents=True, exist_ok=True)
    safetensors.save_file(weights, folder / 'model.safetensors',
                          dict(format='pt'))
    (folder / 'config.json').write_text(json.dumps(config, indent=2) + '\n')
    if images is not None:
        (folder / 'preprocessor_config.json').write_text(
            json.dumps(images, indent=2) + '\n')
    (folder / 'README.md').write_text(card, encoding='utf-8')
