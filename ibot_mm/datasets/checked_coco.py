"""COCO annotations that are checked before training starts."""

from typing import Any

from ibot_mm.registry import DATASETS

from .checked_init import Samples, checked_init
from .coco_file import check_coco_file
from .dataset_errors import (
    is_local,
    require,
    require_files,
    require_names,
    require_prefix,
)


def _host_class(cfg: dict) -> type:
    # Pre-training needs no MMDetection.
    from mmdet.datasets import CocoDataset
    return CocoDataset


@DATASETS.register_module()
def CheckedCocoDataset(**kwargs: Any):
    """MMDetection's CocoDataset, if file, images and classes fit.

    The host shifts labels where the file lacks a class, drops what it cannot
    use, and names neither file nor setting where it fails. With
    ``test_mode=True`` the file need not have annotations. With
    ``lazy_init=True`` nothing is checked: that is how the host asks for the
    class names alone, on a machine that may not have the data.

    Args:
        **kwargs: As in the host's data set.

    Returns:
        The host's data set.

    Raises:
        FileNotFoundError: The file, a folder or images are missing.
        ValueError: The file, the classes and the settings do not fit.
    """
    lazy_init = kwargs.pop('lazy_init', False)
    dataset = _host_class(kwargs)(lazy_init=True, **kwargs)
    if lazy_init:
        return dataset
    if is_local(dataset.ann_file, dataset.backend_args):
        require(dataset.ann_file, 'file', 'ann_file', dataset.data_root or '')
    require_prefix(dataset, 'img')
    classes = dataset.metainfo['classes']
    require_names(classes)
    check_coco_file(dataset.ann_file, classes, not dataset.test_mode,
                    dataset.backend_args)
    checked_init(dataset, lambda samples: _check(dataset, samples))
    return dataset


def _check(dataset: Any, samples: Samples) -> None:
    """Check what the host has left of the file."""
    if not samples:
        raise ValueError(
            f'filter_cfg={dataset.filter_cfg} leaves no image of '
            f'"{dataset.ann_file}": filter_empty_gt drops those without '
            'annotations of the classes, min_size those with a shorter side; '
            'change filter_cfg, metainfo.classes or ann_file of the data '
            'set.')
    if is_local(dataset.data_prefix['img'], dataset.backend_args):
        require_files([sample['img_path'] for sample in samples],
                      f'images of "{dataset.ann_file}"', 'data_prefix.img')
    if not dataset.test_mode:
        _require_instances(dataset.ann_file, samples)
    if any(getattr(transform, 'with_mask', False)
           for transform in dataset.pipeline.transforms):
        _require_masks(dataset.ann_file, samples)


def _require_instances(path: str, samples: Samples) -> None:
    """Refuse images with nothing to learn from."""
    if all(instance['ignore_flag'] for sample in samples
           for instance in sample['instances']):
        raise ValueError(
            f'"{path}" has no usable box in its {len(samples)} images: a box '
            'has to lie in its image, to have a width and a height of 1 and '
            'an area above 0, a class of metainfo.classes, and neither '
            '"ignore" nor "iscrowd"; correct the file, or change ann_file of '
            'the data set.')


def _require_masks(path: str, samples: Samples) -> None:
    """Refuse boxes without a mask where the pipeline loads masks."""
    for sample in samples:
        if not all('mask' in instance for instance in sample['instances']):
            raise ValueError(
                f'"{path}" has a box without "segmentation" in the image '
                f'"{sample["img_path"]}", but LoadAnnotations has '
                'with_mask=True; add the masks, or train a detector without '
                'mask_head and set with_mask=False.')
