"""Compare the mask head of a detector with its evaluator and its data."""

from collections.abc import Sequence

from torch import nn


def _has_mask_head(model: nn.Module) -> bool | None:
    """Whether a two-stage detector has a mask head; None for other models."""
    return getattr(getattr(model, 'roi_head', None), 'with_mask', None)


def _evaluates_masks(metrics: Sequence) -> bool:
    """Whether one of the metrics is CocoMetric with "segm"."""
    return any('segm' in (getattr(metric, 'metrics', None) or ())
               for metric in metrics)


def check_mask_metrics(model: nn.Module, metrics: Sequence,
                       evaluator: str) -> None:
    """Check that a detector makes the masks that are evaluated.

    Args:
        model: The model.
        metrics: Metrics of the evaluator.
        evaluator: Config key of the evaluator.

    Raises:
        ValueError: Masks are evaluated, and there is no mask head.
    """
    if _has_mask_head(model) is False and _evaluates_masks(metrics):
        raise ValueError(
            f'{evaluator}.metric has "segm", but model.roi_head.mask_head is '
            f'None; set {evaluator}.metric="bbox", or add a mask head.')


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


def check_masks(samples: Sequence[dict], transforms: Sequence,
                metrics: Sequence, ann_file: str, key: str) -> None:
    """Check that the annotations have the masks that are used.

    Args:
        samples: Some samples of the data set.
        transforms: Its transforms.
        metrics: Metrics of the evaluator.
        ann_file: Its annotation file.
        key: Its config key.

    Raises:
        ValueError: A box has no segmentation, and masks are loaded or
            evaluated.
    """
    if any(getattr(transform, 'with_mask', False)
           for transform in transforms):
        use = 'LoadAnnotations has with_mask=True'
    elif _evaluates_masks(metrics):
        use = 'metric of the evaluator has "segm"'
    else:
        return
    for sample in samples:
        if any('mask' not in box for box in sample.get('instances', ())):
            raise ValueError(
                f'{key}: in "{ann_file}" a box of "{sample["img_path"]}" has '
                f'no segmentation, but {use}; add the segmentations '
                '(check_coco.py --masks lists all), or set with_mask=False, '
                'metric="bbox" and model.roi_head.mask_head=None for boxes '
                'alone.')
