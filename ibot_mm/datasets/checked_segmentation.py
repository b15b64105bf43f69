"""Segmentation data that is checked before training starts."""

import logging
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.logging import print_log

from ibot_mm.registry import DATASETS

from .checked_init import Samples, checked_init
from .dataset_errors import (
    is_local,
    quoted,
    require,
    require_files,
    require_names,
    require_prefix,
)
from .transforms import CheckSegLabels

# Label maps that are read before the start; the others are checked as they
# are loaded.
NUM_READ = 20
DEFAULT_TYPE = 'ADE20KDataset'


@DATASETS.register_module()
def CheckedSegDataset(dataset_type: str = DEFAULT_TYPE, **kwargs: Any):
    """A data set of MMSegmentation, if folders, files and labels fit.

    Label maps have to be there for training, and wherever the pipeline has a
    ``LoadAnnotations`` (not inside another transform, as for test-time
    augmentation). Their values are checked behind it, where a
    ``CheckSegLabels`` is inserted, and those of some maps before the start.
    Where training lists the folder of the images, label maps without an image
    are left out with a warning.
    With ``lazy_init=True`` nothing is checked: that is how the host asks for
    the class names alone, on a machine that may not have the data.

    Args:
        dataset_type: Name of the data set; MMSegmentation's without a scope.
        **kwargs: As in that data set.

    Returns:
        The host's data set.

    Raises:
        FileNotFoundError: A folder, images or label maps are missing.
        ValueError: Files, labels and settings do not fit.
    """
    lazy_init = kwargs.pop('lazy_init', False)
    dataset = _host_class(dataset_type)(lazy_init=True, **kwargs)
    if lazy_init:
        return dataset
    transforms = dataset.pipeline.transforms
    loader = _find_loader(transforms)
    labelled = loader is not None or (
        not dataset.test_mode and 'seg_map_path' in dataset.data_prefix)
    _require_paths(dataset, labelled)
    checked_init(dataset, lambda samples: _check(dataset, samples, labelled))
    if loader is not None:
        check = _label_check(dataset, loader)
        _check_some(dataset, loader, check)
        transforms.insert(transforms.index(loader) + 1, check)
    return dataset


def _host_class(name: str) -> type:
    """A data set of MMSegmentation, or one that is registered elsewhere."""
    # Pre-training needs no MMSegmentation.
    from mmseg.registry import DATASETS as HOST_DATASETS
    try:
        found = HOST_DATASETS.get(name)
    except RuntimeError:
        found = None
    if found is None:
        raise ValueError(
            f'CheckedSegDataset: there is no data set "{name}"; change '
            'dataset_type, or name its module in custom_imports.')
    return found


def _find_loader(transforms: Sequence[Any]) -> Any | None:
    """The transform that loads label maps."""
    from mmseg.datasets.transforms import LoadAnnotations
    return next(
        (item for item in transforms if isinstance(item, LoadAnnotations)),
        None)


def _require_paths(dataset: Any, labelled: bool) -> None:
    """Refuse settings that lead to no file or folder."""
    require_prefix(dataset, 'img_path')
    if labelled:
        require_prefix(dataset, 'seg_map_path')
    # The host takes a folder for no list.
    if dataset.ann_file and is_local(dataset.ann_file, dataset.backend_args):
        require(dataset.ann_file, 'file', 'ann_file', dataset.data_root or '')


def _check(dataset: Any, samples: Samples, labelled: bool) -> None:
    """Refuse an empty data set and files that are not there."""
    folder = dataset.data_prefix['img_path']
    if not samples:
        source = dataset.ann_file or folder
        raise ValueError(
            f'"{source}" leads to no image that ends in '
            f'"{dataset.img_suffix}"; change data_prefix.img_path, ann_file '
            'or img_suffix of the data set.')
    if not is_local(folder, dataset.backend_args):
        return
    require_files([sample['img_path'] for sample in samples], 'images',
                  'ann_file, data_prefix.img_path or img_suffix')
    if labelled:
        require_files([sample['seg_map_path'] for sample in samples],
                      'label maps',
                      'data_prefix.seg_map_path or seg_map_suffix')
        # With indices most images are left out on purpose.
        if not (dataset.test_mode or dataset.ann_file or dataset._indices):
            _warn_of_spare_maps(dataset, samples)


def _warn_of_spare_maps(dataset: Any, samples: Samples) -> None:
    """Name label maps whose images are not there."""
    folder = dataset.data_prefix['seg_map_path']
    if not is_local(folder, dataset.backend_args):
        return
    used = {os.path.normpath(sample['seg_map_path']) for sample in samples}
    paths = [
        os.path.normpath(os.path.join(parent, name))
        for parent, _, names in os.walk(folder) for name in names
        if name.endswith(dataset.seg_map_suffix) and name[0] != '.'
    ]
    spare = sorted(path for path in paths if path not in used)
    if spare:
        print_log(
            f'{len(spare)} of the {len(paths)} label maps have no image among '
            f'the {len(samples)} of "{dataset.data_prefix["img_path"]}" and '
            f'are left out, the first: {quoted(spare, 3)}; if they should '
            'not be, add the images or change img_suffix of the data set.',
            'current', logging.WARNING)


def _label_check(dataset: Any, loader: Any) -> CheckSegLabels:
    """The check for the labels of a data set."""
    classes = dataset.metainfo.get('classes')
    if classes is None:
        raise ValueError('CheckedSegDataset: the data set has no class '
                         'names; set metainfo.classes of the data set.')
    require_names(classes)
    if loader.reduce_zero_label not in (None, dataset.reduce_zero_label):
        raise ValueError(
            f'reduce_zero_label is {loader.reduce_zero_label} in '
            f'LoadAnnotations and {dataset.reduce_zero_label} in the data '
            'set; set it in the data set and leave it out of '
            'LoadAnnotations.')
    return CheckSegLabels(len(classes), dataset.ignore_index)


def _check_some(dataset: Any, loader: Any, check: CheckSegLabels) -> None:
    """Check label maps from all over the data set."""
    count = min(NUM_READ, len(dataset))
    for index in np.linspace(0, len(dataset) - 1, count).astype(int):
        sample = dataset.get_data_info(int(index))
        try:
            sample = loader(sample)
        except Exception as error:  # Decoders raise errors of many kinds.
            raise ValueError(
                f'"{sample["seg_map_path"]}" cannot be read as a label map '
                f'({error}); replace it.') from error
        check(sample)
