"""Compare the mask head of a detector with its evaluator and its data."""

from collections.abc import Sequence

from torch import nn


def _has_mask_head(model: nn.Module) -> bool | None:
    """Whether a two-stage detector has a mask head; None for other models."""
    return getattr(getattr(model, 'roi_head', None), 'with_mask', None)


def check_mask_metrics(model: nn.Module, metrics: Sequence,
                       key: str) -> None:
    """Check that a detector makes the masks that are evaluated.

    Args:
        model: The model.
        metrics: Metrics of the evaluator.
        key: Config key of the evaluator.

    Raises:
        ValueError: Masks are evaluated, and there is no mask head.
    """
    for metric in metrics:
        if (_has_mask_head(model) is False
                and 'segm' in (getattr(metric, 'metrics', None) or ())):
            raise ValueError(
                f'{key}.metric has "segm", but model.roi_head.mask_head is '
                f'None; set {key}.metric="bbox", or add a mask head.')


def check_training_masks(model: nn.Module, transforms: Sequence,
                         key: str) -> None:
    """Check that the masks that a mask head learns from are loaded.

    Args:
        model: The model.
        transforms: Transforms of the training data.
        key: Config key of the data set.

    Raises:
        ValueError: There is a mask head, and no masks are loaded.
    """
    loads = [transform.with_mask for transform in transforms
             if hasattr(transform, 'with_mask')]
    if _has_mask_head(model) and loads and not any(loads):
        raise ValueError(
            f'{key}: LoadAnnotations has with_mask=False, but '
            'model.roi_head.mask_head learns from masks; set with_mask=True, '
            'or model.roi_head.mask_head=None for boxes alone.')


def check_masks(samples: Sequence[dict], transforms: Sequence, ann_file: str,
                key: str) -> None:
    """Check that the annotations have the masks that are loaded.

    Args:
        samples: Some samples of the data set.
        transforms: Its transforms.
        ann_file: Its annotation file.
        key: Its config key.

    Raises:
        ValueError: A box has no segmentation, and masks are loaded.
    """
    if not any(getattr(transform, 'with_mask', False)
               for transform in transforms):
        return
    for sample in samples:
        if any('mask' not in box for box in sample.get('instances', ())):
            raise ValueError(
                f'{key}: in "{ann_file}" a box of "{sample["img_path"]}" has '
                'no segmentation, but LoadAnnotations has with_mask=True; '
                'add the segmentations (check_coco.py --masks lists all), or '
                'set with_mask=False and model.roi_head.mask_head=None for '
                'boxes alone.')
