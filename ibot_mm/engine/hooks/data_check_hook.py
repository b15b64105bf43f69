"""Refuse a model that does not fit its data, before the first iteration."""

from typing import Any, Dict, Iterator, Optional, Set

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop
from torch import nn

from ibot_mm.datasets.dataset_errors import require_names
from ibot_mm.engine.unwrapped import unwrapped_model
from ibot_mm.registry import HOOKS

# Heads of MMDetection and MMSegmentation whose outputs are the classes. The
# rpn_head has a single one, whatever the data.
HEADS = ('bbox_head', 'mask_head', 'decode_head', 'auxiliary_head')
LOOPS = ('train', 'val', 'test')
# Transforms after which images have another size.
RESIZING = ('Crop', 'Resize', 'Pad')


@HOOKS.register_module()
class DataCheckHook(Hook):
    """Compare the model with the data sets of the run.

    With a wrong number of classes training ends in a device assert or, worse,
    goes on; with a wrong size of the batch MMSegmentation fails at the first
    image that is smaller than the crop.
    """

    def before_run(self, runner) -> None:
        """Check the loops that this run has built.

        Raises:
            ValueError: Classes and heads, or crops and
                ``data_preprocessor.size``, do not fit.
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


def _check_classes(model: nn.Module, dataset: Any, loader: str) -> None:
    """Refuse heads with another number of classes than the data."""
    classes = _class_names(dataset)
    if classes is None:
        return
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
            f'{heads}; set num_classes to {len(classes)} (in each head of a '
            f'list), or change metainfo.classes of {loader}.dataset.')


def _head_classes(model: nn.Module) -> Dict[str, Set[int]]:
    """Numbers of classes by config key; the heads of a list share one."""
    found: Dict[str, Set[int]] = {}
    for name, module in model.named_modules():
        parts = [part for part in name.split('.') if not part.isdigit()]
        count = getattr(module, 'num_classes', None)
        # A mask for any class does not use the number.
        if (parts and parts[-1] in HEADS and isinstance(count, int)
                and not getattr(module, 'class_agnostic', False)):
            key = '.'.join(['model', *parts, 'num_classes'])
            found.setdefault(key, set()).add(count)
    return found


def _class_names(dataset: Any) -> Any:
    """Class names of a data set, also inside a wrapper; None without."""
    while not hasattr(dataset, 'metainfo'):
        if not hasattr(dataset, 'dataset'):
            return None
        dataset = dataset.dataset
    return dataset.metainfo.get('classes')


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


def _last_crop(dataset: Any) -> Optional[tuple]:
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
