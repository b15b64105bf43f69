"""Refuse a model that does not fit its data, before the first iteration."""

import os
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop
from torch import nn

from ibot_mm.datasets.dataset_errors import is_local, require_names
from ibot_mm.distributed.unwrap import unwrapped_model
from ibot_mm.registry import HOOKS

# Heads of MMDetection and MMSegmentation whose outputs are the classes. The
# rpn_head has a single one, whatever the data.
HEADS = ('bbox_head', 'mask_head', 'decode_head', 'auxiliary_head')
LOOPS = ('train', 'val', 'test')
# Transforms after which images have another size.
RESIZING = ('Crop', 'Resize', 'Pad')


@HOOKS.register_module()
class DataCheckHook(Hook):
    """Compare model, precision and metrics with the data sets of the run.

    With a wrong number of classes training ends in a device assert or, worse,
    goes on; with a wrong size of the batch MMSegmentation fails at the first
    image that is smaller than the crop; with a precision that its operators
    lack MMDetection fails in the first iteration; with the annotations of
    other images its metric fails after the first epoch or is wrong.
    """

    def before_run(self, runner) -> None:
        """Check the loops that this run has built.

        Raises:
            ValueError: Classes and heads, crops and
                ``data_preprocessor.size``, detector and
                ``optim_wrapper.dtype``, or the annotation files of metric and
                data set do not fit.
        """
        model = unwrapped_model(runner)
        for name in LOOPS:
            # The property runner.train_loop would build it.
            loop = getattr(runner, f'_{name}_loop')
            if isinstance(loop, BaseLoop) and hasattr(loop, 'dataloader'):
                dataset = loop.dataloader.dataset
                _check_classes(model, dataset, f'{name}_dataloader')
                if name == 'train':
                    _check_size(model, dataset)
                    _check_precision(model, runner.optim_wrapper)
                else:
                    _check_ann_file(loop, name,
                                    runner.cfg.get(f'{name}_evaluator'))


def _check_classes(model: nn.Module, dataset: Any, loader: str) -> None:
    """Refuse heads with another number of classes than the data."""
    for place, classes in _class_names(dataset, f'{loader}.dataset'):
        require_names(classes)
        wrong = {
            key: counts - {len(classes)}
            for key, counts in _head_classes(model).items()
            if counts != {len(classes)}
        }
        if wrong:
            heads = ' and '.join(
                f'{key} is {" or ".join(map(str, sorted(counts)))}'
                for key, counts in wrong.items())
            raise ValueError(
                f'The data set of {loader} has {len(classes)} classes, but '
                f'{heads}; set num_classes to {len(classes)} (in each head '
                f'of a list), or change metainfo.classes of {place}.')


def _head_classes(model: nn.Module) -> dict[str, set[int]]:
    """Numbers of classes by config key; the heads of a list share one."""
    found: dict[str, set[int]] = {}
    for name, module in model.named_modules():
        parts = [part for part in name.split('.') if not part.isdigit()]
        count = getattr(module, 'num_classes', None)
        # A mask for any class does not use the number.
        if (parts and parts[-1] in HEADS and isinstance(count, int)
                and not getattr(module, 'class_agnostic', False)):
            key = '.'.join(['model', *parts, 'num_classes'])
            found.setdefault(key, set()).add(count)
    return found


def _class_names(dataset: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Config key and class names of a data set, or of those inside it."""
    metainfo = getattr(dataset, 'metainfo', None)
    # MMDetection has a list of them where those of the parts differ.
    if isinstance(metainfo, dict):
        if metainfo.get('classes') is not None:
            yield place, metainfo['classes']
    elif hasattr(dataset, 'datasets'):
        for number, part in enumerate(dataset.datasets):
            yield from _class_names(part, f'{place}.datasets[{number}]')
    elif hasattr(dataset, 'dataset'):
        yield from _class_names(dataset.dataset, f'{place}.dataset')


def _check_precision(model: nn.Module, optim_wrapper: Any) -> None:
    """Refuse precisions that the operators of a detector lack."""
    # The host's wrapper has another name for it.
    dtype = getattr(optim_wrapper, 'dtype',
                    getattr(optim_wrapper, 'cast_dtype', None))
    # Layers of RoIAlign, which need proposals and so the operator nms.
    if not any(hasattr(module, 'roi_layers') for module in model.modules()):
        return
    on_cpu = any(part.device.type == 'cpu' for part in model.parameters())
    if on_cpu and dtype in (torch.float16, torch.bfloat16):
        raise ValueError(
            f'optim_wrapper.dtype is {_name(dtype)}, but nms of mmcv needs '
            'float32 on CPUs; set optim_wrapper.dtype=float32.')
    if dtype == torch.bfloat16:
        raise ValueError(
            'optim_wrapper.dtype is bfloat16, for which RoIAlign of mmcv has '
            'no kernel; set optim_wrapper.dtype=float16, or train with --amp '
            'float16.')


def _name(dtype: torch.dtype) -> str:
    """A type as configs write it."""
    return str(dtype).split('.')[-1]


def _check_ann_file(loop: BaseLoop, name: str, evaluator: Any) -> None:
    """Refuse metrics with the annotations of other images."""
    dataset = loop.dataloader.dataset
    while not hasattr(dataset, 'ann_file'):
        if not hasattr(dataset, 'dataset'):
            return
        dataset = dataset.dataset
    wanted = dataset.ann_file
    metrics = getattr(getattr(loop, 'evaluator', None), 'metrics', ())
    for (key, cfg), metric in zip(
            _metric_cfgs(evaluator, f'{name}_evaluator'), metrics):
        # Captions, for one, have references apart from the data set's file.
        if getattr(metric, '_coco_api', None) is None:
            continue
        found = cfg.get('ann_file')
        if (wanted and found and _is_other(found, wanted)
                and is_local(found, cfg.get('backend_args'))
                and is_local(wanted, getattr(dataset, 'backend_args', None))):
            raise ValueError(
                f'{key}.ann_file is "{found}", but the data set of '
                f'{name}_dataloader has "{wanted}"; set {key}.ann_file to '
                f'"{wanted}".')


def _metric_cfgs(evaluator: Any, key: str) -> Iterator[tuple[str, dict]]:
    """Configs of the metrics, with their keys."""
    if isinstance(evaluator, dict) and 'metrics' in evaluator:
        yield from _metric_cfgs(evaluator['metrics'], f'{key}.metrics')
    elif isinstance(evaluator, dict):
        yield key, evaluator
    elif isinstance(evaluator, (list, tuple)):
        for number, cfg in enumerate(evaluator):
            # A metric that is built already has no config.
            yield f'{key}.{number}', cfg if isinstance(cfg, dict) else {}


def _is_other(path: str, other: str) -> bool:
    """Whether two paths lead to different files."""
    return os.path.realpath(path) != os.path.realpath(other)


def _check_size(model: nn.Module, dataset: Any) -> None:
    """Refuse sizes to which a batch of crops cannot be padded."""
    preprocessor = getattr(model, 'data_preprocessor', None)
    crop = _last_crop(dataset)
    # MMDetection's preprocessor pads to the largest image.
    if crop is None or not hasattr(preprocessor, 'size'):
        return
    size, divisor = preprocessor.size, preprocessor.size_divisor
    where = 'model.data_preprocessor'
    if (size is None) == (divisor is None):
        raise ValueError(
            f'{where} has size={size} and size_divisor={divisor}, of which '
            'one has to be set: images smaller than the crop_size of '
            f'RandomCrop are padded; set {where}.size to {crop} and '
            'size_divisor to None.')
    if size is None:
        return
    if isinstance(size, int) or size[0] < crop[0] or size[1] < crop[1]:
        raise ValueError(
            f'{where}.size={size} is no (height, width) that holds the '
            f'crop_size={crop} of RandomCrop in the training pipeline; set '
            f'{where}.size to {crop}, or change crop_size.')


def _last_crop(dataset: Any) -> tuple | None:
    """(height, width) of the RandomCrop, if it is what gives the size."""
    last = None
    for transform in _transforms(dataset):
        name = type(transform).__name__
        if any(part in name for part in RESIZING):
            last = transform
    if type(last).__name__ != 'RandomCrop':
        return None
    return tuple(last.crop_size)


def _transforms(dataset: Any) -> Iterator[Any]:
    """Transforms of a data set and, before them, of those inside it."""
    inner = getattr(dataset, 'datasets', [getattr(dataset, 'dataset', None)])
    for part in inner:
        if part is not None:
            yield from _transforms(part)
    pipeline = getattr(dataset, 'pipeline', ())
    yield from getattr(pipeline, 'transforms', pipeline)
