"""Check that model, data and precision fit before the first iteration."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from torch import nn

from ibot_mm.datasets.dataset_errors import quoted
from ibot_mm.distributed.unwrap import unwrapped_model
from ibot_mm.engine.class_checks import (
    check_categories,
    check_class_counts,
    check_metrics,
)
from ibot_mm.engine.mask_checks import (
    check_mask_metrics,
    check_masks,
    check_training_masks,
)
from ibot_mm.registry import HOOKS

CHECKS = ('heads', 'categories', 'files', 'labels', 'masks', 'precision')


@HOOKS.register_module()
class DataCheckHook(Hook):
    """Check classifiers, detectors and segmentors against their data sets.

    Runs once, before training or testing, on what the Runner has built, also
    inside wrappers of data sets. Files in remote storage are not checked.

    Args:
        checks: The checks to run; an empty tuple switches the hook off.

            - 'heads': ``num_classes`` of the heads and of the data
              preprocessor, ``topk`` of the evaluators, and the classes.
            - 'categories': labels that MMDetection derives from the order of
              the categories in a COCO file, and the class names.
            - 'files': whether a sample of images and label maps exists.
            - 'labels': value range of a sample of the label maps.
            - 'masks': the mask head, the metrics of the evaluators and the
              segmentations of a sample of COCO annotations.
            - 'precision': ``optim_wrapper.dtype`` and mmcv's operators.
        num_samples: Size of the sample, spread over each data set.

    Raises:
        ValueError: ``checks`` has an unknown name, or a check fails.
        FileNotFoundError: A file of the sample does not exist.
    """

    def __init__(self,
                 checks: Sequence[str] = CHECKS,
                 num_samples: int = 20) -> None:
        if unknown := [name for name in checks if name not in CHECKS]:
            raise ValueError(f'DataCheckHook: checks has {quoted(unknown)}; '
                             f'choose from {quoted(CHECKS)}.')
        self.checks = checks
        self.num_samples = num_samples

    def before_train(self, runner) -> None:
        """Check precision, training data and validation data."""
        model = unwrapped_model(runner)
        if 'precision' in self.checks:
            _check_precision(model, runner.optim_wrapper)
        self._check_loop(model, runner.train_loop, 'train')
        self._check_loop(model, runner.val_loop, 'val')

    def before_test(self, runner) -> None:
        """Check the test data."""
        self._check_loop(unwrapped_model(runner), runner.test_loop, 'test')

    def _check_loop(self, model: nn.Module, loop: Any, split: str) -> None:
        """Check the data and the evaluator of a loop, if there is one."""
        metrics = getattr(getattr(loop, 'evaluator', None), 'metrics', ())
        if 'masks' in self.checks:
            check_mask_metrics(model, metrics, f'{split}_evaluator')
        loader = getattr(loop, 'dataloader', None)
        for dataset, key in _unwrap(getattr(loader, 'dataset', None),
                                    f'{split}_dataloader.dataset'):
            if 'heads' in self.checks:
                check_class_counts(model, dataset, key)
                check_metrics(metrics, dataset, key, f'{split}_evaluator')
            if 'masks' in self.checks and split == 'train':
                check_training_masks(model, _transforms(dataset), key)
            self._check_samples(dataset, metrics, key)

    def _check_samples(self, dataset: BaseDataset, metrics: Sequence,
                       key: str) -> None:
        """Check what needs local files, most of it on a sample."""
        if (dataset.metainfo.get('classes') is None
                or getattr(dataset, 'backend_args', None)
                or '://' in f'{dataset.ann_file} {dataset.data_prefix}'):
            return
        # MMDetection numbers what it finds in the file, in its order.
        if 'categories' in self.checks and hasattr(dataset, 'cat_ids'):
            check_categories(dataset, key)
        indices = np.linspace(0, len(dataset) - 1,
                              min(self.num_samples, len(dataset)))
        samples = [dataset.get_data_info(int(i)) for i in indices]
        transforms = _transforms(dataset)
        # MMSegmentation's data sets; others may have maps without labels.
        loaders = [transform for transform in transforms
                   if getattr(transform, 'with_seg', False)
                   and hasattr(dataset, 'reduce_zero_label')]
        if 'files' in self.checks:
            _check_files(samples, key, bool(loaders))
        if 'labels' in self.checks and loaders:
            for sample in samples:
                _check_labels(sample, dataset, key, loaders[0])
        if 'masks' in self.checks:
            check_masks(samples, transforms, metrics, dataset.ann_file, key)


def _transforms(dataset: BaseDataset) -> list:
    """Transforms of a pipeline, and those inside test-time augmentation."""
    found = list(dataset.pipeline.transforms)
    for transform in dataset.pipeline.transforms:
        for pipeline in getattr(transform, 'subroutines', [])[:1]:
            found += pipeline.transforms
    return found


def _unwrap(dataset: Any, key: str) -> Iterator[tuple[BaseDataset, str]]:
    """Yield the data sets inside wrappers, each with its config key."""
    if hasattr(dataset, 'datasets'):
        for index, part in enumerate(dataset.datasets):
            yield from _unwrap(part, f'{key}.datasets.{index}')
    elif hasattr(dataset, 'dataset'):
        yield from _unwrap(dataset.dataset, f'{key}.dataset')
    elif isinstance(dataset, BaseDataset):
        yield dataset, key


def _check_files(samples: list[dict], key: str, with_maps: bool) -> None:
    """Raise if sampled files are missing."""
    names = ('img_path', 'seg_map_path') if with_maps else ('img_path', )
    paths = [sample[name] for sample in samples for name in names
             if name in sample]
    if missing := [path for path in paths if not os.path.isfile(path)]:
        raise FileNotFoundError(
            f'{key}: {len(missing)} of {len(paths)} sampled files do not '
            f'exist: {quoted(missing, 2)}; change data_root, data_prefix or '
            'the suffixes.')


def _check_labels(sample: dict, dataset: BaseDataset, key: str,
                  load: Any) -> None:
    """Compare a label map, as the pipeline loads it, with the classes."""
    path, count = sample['seg_map_path'], len(dataset.metainfo['classes'])
    labels = load(sample)['gt_seg_map']
    wrong = np.unique(
        labels[(labels >= count) & (labels != dataset.ignore_index)])
    if labels.ndim > 2 or wrong.size:
        raise ValueError(
            f'{key}: "{path}" has the shape {labels.shape} and, with '
            f'reduce_zero_label={dataset.reduce_zero_label}, the wrong labels '
            f'{wrong[:5].tolist()}; it needs one channel with the labels 0 to '
            f'{count - 1}, and {dataset.ignore_index} to be ignored. Change '
            'metainfo.classes or reduce_zero_label, or correct the file.')


def _check_precision(model: nn.Module, optim_wrapper: Any) -> None:
    """Compare the precision with what mmcv's operators support."""
    # AmpOptimWrapper calls it cast_dtype.
    dtype = getattr(optim_wrapper, 'dtype',
                    getattr(optim_wrapper, 'cast_dtype', None))
    if not any(hasattr(module, 'roi_layers') for module in model.modules()):
        return
    on_cpu = any(part.device.type == 'cpu' for part in model.parameters())
    if dtype == torch.bfloat16 or (on_cpu and dtype == torch.float16):
        raise ValueError(
            f'optim_wrapper.dtype is {dtype}, but RoIAlign of mmcv has no '
            'bfloat16 kernel and nms of mmcv needs float32 on CPUs; set '
            f'optim_wrapper.dtype={"float32" if on_cpu else "float16"}.')
