"""Compare numbers and names of classes: model, evaluator and data set."""

import json
import re
from collections.abc import Sequence
from itertools import zip_longest
from types import SimpleNamespace

from mmengine.dataset import BaseDataset
from torch import nn

# Parts of a classifier or segmentor that have a number of classes.
_PARTS = r'head|data_preprocessor|(decode|auxiliary)_head(\.\d+)?'


def check_class_counts(model: nn.Module, dataset: BaseDataset,
                       key: str) -> None:
    """Compare ``num_classes`` of the parts of a model with the data.

    Args:
        model: Classifier, detector or segmentor; others have no such parts.
        dataset: Its data. Without class names, its largest label counts.
        key: Config key of the data set.

    Raises:
        ValueError: They differ.
    """
    classes = dataset.metainfo.get('classes')
    if hasattr(model, 'roi_head') or hasattr(model, 'bbox_head'):
        if classes:
            _check_detector(model, dataset, key)
        return
    counts = _class_counts(model)
    if classes:
        wrong = {name: count for name, count in counts.items()
                 if count != len(classes)}
        found = f'{len(classes)} classes'
        advice = f'set each to {len(classes)}'
    else:
        largest = _largest_label(dataset) if counts else -1
        fits = len(set(counts.values())) < 2 and all(
            count > largest for count in counts.values())
        wrong = {} if fits else counts
        found = f'labels up to {largest} and no class names'
        advice = f'set each to the same number, at least {largest + 1}'
    if wrong:
        listed = ' and '.join(
            f'{name} is {count}' for name, count in wrong.items())
        raise ValueError(f'{key} has {found}, but {listed}; {advice}, or '
                         'change the classes of the data set.')


def _class_counts(model: nn.Module) -> dict[str, int]:
    """Numbers of classes by config key."""
    found = {f'model.{name}.num_classes': getattr(part, 'num_classes', None)
             for name, part in model.named_modules()
             if re.fullmatch(_PARTS, name)}
    if not hasattr(model, 'decode_head'):  # where it repeats the head's
        found['model.num_classes'] = getattr(model, 'num_classes', None)
    return {name: count for name, count in found.items()
            if isinstance(count, int)}


def _largest_label(dataset: BaseDataset) -> int:
    """Largest label of a classification data set, -1 if it has none."""
    if not hasattr(dataset, 'get_gt_labels') or not isinstance(
            dataset.get_data_info(0).get('gt_label'), int):
        return -1
    return int(dataset.get_gt_labels().max())


def _check_detector(model: nn.Module, dataset: BaseDataset,
                    key: str) -> None:
    from mmdet.engine.hooks import NumClassCheckHook

    # It knows the data of training and validation, and no wrappers.
    loader = SimpleNamespace(dataset=dataset)
    try:
        NumClassCheckHook().before_train_epoch(
            SimpleNamespace(model=model, train_dataloader=loader))
    except AssertionError as error:
        raise ValueError(f'{key}: {error}; set num_classes of each head, or '
                         f'metainfo.classes of {key}.') from error


def check_metrics(metrics: Sequence, dataset: BaseDataset, key: str,
                  evaluator: str) -> None:
    """Compare ``topk`` of MMPretrain's metrics with the number of classes.

    Args:
        metrics: Metrics of the evaluator.
        dataset: The data that it evaluates.
        key: Config key of the data set.
        evaluator: Config key of the evaluator.

    Raises:
        ValueError: A k is larger than the number of classes.
    """
    classes = dataset.metainfo.get('classes')
    for metric in metrics:
        topk = getattr(metric, 'topk', None)
        if classes and topk and max(topk) > len(classes):
            kept = tuple(k for k in topk if k <= len(classes))
            raise ValueError(
                f'{evaluator}.topk is {topk}, but {key} has {len(classes)} '
                f'classes; set {evaluator}.topk={kept}.')


def check_categories(dataset: BaseDataset, key: str) -> None:
    """Compare the labels that MMDetection assigns with the class names.

    Args:
        dataset: MMDetection's ``CocoDataset``.
        key: Its config key.

    Raises:
        ValueError: They differ.
    """
    with open(dataset.ann_file, encoding='utf-8') as file:
        categories = json.load(file)['categories']
    names = {category['id']: category['name'] for category in categories}
    labels = [names.get(number) for number in dataset.cat_ids]
    for label, (found, name) in enumerate(
            zip_longest(labels, dataset.metainfo['classes'])):
        if found != name:
            raise ValueError(
                f'{key}: the categories of "{dataset.ann_file}" make label '
                f'{label} {found!r}, but in metainfo.classes it is {name!r}; '
                'set metainfo.classes to the names and the order of the file.')
