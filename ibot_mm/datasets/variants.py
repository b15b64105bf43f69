"""Labeled images in several variants, with the classes of a classifier."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.logging import print_log

from ibot_mm.checkpoints.load import CheckpointError, load_checkpoint
from ibot_mm.registry import DATASETS

from .dataset_errors import quoted, require
from .evaluation_dataset import BadFile
from .image_lists import find_class_folders, read_names
from .labeled import LabeledDataset


def class_folders(source: str) -> list[str]:
    """Names of the class folders that a classifier was trained on.

    Args:
        source: The folder that holds them, a checkpoint (``.pth``) that names
            the classes of its training set, or a text file with a name per
            line, in the order of the classes.

    Raises:
        FileNotFoundError: There is no such file or folder.
        CheckpointError: The checkpoint names no classes.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return find_class_folders(str(path))
    require(str(path), 'file', 'classes_from')
    if path.suffix != '.pth':
        return read_names(str(path))
    meta = load_checkpoint(str(path)).get('meta') or {}
    classes = (meta.get('dataset_meta') or {}).get('classes')
    if not classes:
        raise CheckpointError(
            f'"{source}" does not name the classes of its training set: set '
            'classes_from to the folder of the training images, or to a text '
            'file of its class folders.')
    return list(classes)


@DATASETS.register_module()
class VariantDataset(LabeledDataset):
    """Class folders in several variants, such as corruptions.

    The class numbers are those of the classifier, also if some of its classes
    have no images here. Each data sample has the metainfo ``variant``. The
    metainfo of the data set has ``data_root``, ``variants``, ``classes`` (if
    ``classes_from`` is set) and ``present_classes``, the sorted class numbers
    that have images.

    Args:
        data_root: Folder of the data.
        variants: Folders below ``data_root`` that hold class folders, or such
            a folder for each name of a variant; by default ``data_root``
            itself is the only variant, ''.
        classes_from: See :func:`class_folders`. None numbers the class
            folders of all variants in the order of their names.
        numbered: Whether the names of the class folders are the class
            numbers, as in ImageNet-V2.
        skip_missing: Whether to leave out variants without a folder; the log
            names them. False makes them an error.
        **kwargs: Passed to :class:`LabeledDataset`, which has no use for
            ``data_prefix``, ``ann_file``, ``classes_prefix`` and ``subset``
            here.
    """

    def __init__(self,
                 data_root: str,
                 variants: Sequence[str] | Mapping[str, str] = ('', ),
                 classes_from: str | None = None,
                 numbered: bool = False,
                 skip_missing: bool = False,
                 **kwargs) -> None:
        if not isinstance(variants, Mapping):
            variants = {name: name for name in variants}
        self.variants = dict(variants)
        self.classes_from = classes_from
        self.numbered = numbered
        self.skip_missing = skip_missing
        super().__init__(data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """List the images of all variants.

        Raises:
            FileNotFoundError: Folders of variants are missing.
            ValueError: Class folders are not classes of the classifier, or
                hold no images.
        """
        require(self.data_root, 'folder', 'data_root')
        folders = self._existing()
        numbers = self._class_numbers({
            name: path for path in reversed(folders.values())
            for name in self._folders(path)})
        samples = [
            dict(img_path=os.path.join(path, image), gt_label=numbers[name],
                 variant=variant)
            for variant, path in folders.items()
            for name in self._folders(path)
            for image in sorted(self._images(path, name))]
        if not samples:
            raise ValueError(f'VariantDataset: the class folders in '
                             f'"{self.data_root}" hold no images.')
        self._metainfo.update(
            data_root=self.data_root,
            variants=list(folders),
            present_classes=sorted({s['gt_label'] for s in samples}))
        return samples

    def _existing(self) -> dict[str, str]:
        """Folders that exist, by variant."""
        folders = {name: os.path.join(self.data_root, folder)
                   for name, folder in self.variants.items()}
        missing = [name for name, path in folders.items()
                   if not os.path.isdir(path)]
        if missing and (len(missing) == len(folders) or not self.skip_missing):
            raise FileNotFoundError(
                f'VariantDataset: "{self.data_root}" lacks the folders of '
                f'{len(missing)} of {len(folders)} variants: '
                f'{quoted([self.variants[name] for name in missing])}; check '
                'data_root, or set skip_missing=True to evaluate the others.')
        if missing:
            print_log('without the variants that have no folder: '
                      + ', '.join(missing), 'current')
        return {name: path for name, path in folders.items()
                if name not in missing}

    def _class_numbers(self, found: dict[str, str]) -> dict[str, int]:
        """Class numbers of class folders; ``found`` maps them to places."""
        if self.numbered:
            wrong = [name for name in found if not name.isdecimal()]
            numbers = {name: int(name) for name in found if name not in wrong}
            wanted = 'class numbers from 0 (numbered=True)'
        else:
            names = class_folders(
                self.classes_from) if self.classes_from else sorted(found)
            numbers = {name: i for i, name in enumerate(names)}
            wrong = [name for name in found if name not in numbers]
            wanted = f'classes of "{self.classes_from}" (classes_from)'
            if self.classes_from:
                self._metainfo['classes'] = tuple(names)
        if wrong:
            raise ValueError(
                f'VariantDataset: {len(wrong)} class folders in '
                f'"{found[wrong[0]]}" are not {wanted}: {quoted(wrong)}.')
        return numbers

    def __getitem__(self, index: int):
        """Load and transform a sample."""
        sample = super().__getitem__(index)
        if not isinstance(sample, BadFile):
            sample['data_samples'].set_metainfo(
                dict(variant=self.get_data_info(index)['variant']))
        return sample
