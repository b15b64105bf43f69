"""Labeled images for evaluation and supervised training."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mmpretrain.datasets import CustomDataset

from ibot_mm.registry import DATASETS

from .dataset_errors import quoted, require
from .image_lists import (
    Samples,
    find_class_folders,
    keep_subset,
    list_images,
    read_labels,
)
from .pretrain import IMAGE_EXTENSIONS


@DATASETS.register_module()
class LabeledDataset(CustomDataset):
    """MMPretrain's CustomDataset with labels that cannot shift.

    Labels come from class folders or from a list file. The host numbers the
    folders that it finds, so that a validation folder without one of the
    classes would get other labels than the training folder: with
    ``classes_prefix`` one folder numbers the classes of all. Folders must be
    local.

    Args:
        data_root: Folder of the data.
        data_prefix: Folder of the images, below ``data_root``.
        ann_file: A list file with ``path label`` a line, below ``data_root``;
            class folders if empty.
        classes_prefix: Folder below ``data_root`` whose sorted sub-folders
            are the classes; ``data_prefix`` if None.
        subset: A list file of the images to keep, absolute or relative to the
            current folder: a file name a line, with or without its folder.
        num_classes: Number of classes of the model, which labels must be
            below; not checked if None.
        extensions: File name endings that count as images.
        **kwargs: As in the host's dataset.
    """

    def __init__(self,
                 data_root: str = '',
                 data_prefix: str | dict = '',
                 ann_file: str = '',
                 classes_prefix: str | None = None,
                 subset: str = '',
                 num_classes: int | None = None,
                 extensions: Sequence[str] = IMAGE_EXTENSIONS,
                 **kwargs) -> None:
        self.classes_prefix = classes_prefix
        self.subset = os.path.expanduser(subset)
        self.num_classes = num_classes
        super().__init__(
            data_root=data_root,
            data_prefix=data_prefix,
            ann_file=ann_file,
            extensions=extensions,
            **kwargs)

    @property
    def classes_folder(self) -> str:
        """The folder whose sub-folders are the classes."""
        if self.classes_prefix is None:
            return self.img_prefix
        return os.path.join(self.data_root,
                            os.path.expanduser(self.classes_prefix))

    def load_data_list(self) -> list:
        """List the samples.

        Raises:
            FileNotFoundError: A folder or a list is missing.
            ValueError: Folders, lists, labels and classes do not fit.
        """
        self._require_paths()
        samples = self._read_list() if self.ann_file else self._find_samples()
        if self.subset:
            samples = keep_subset(samples, self.subset)
        self._refuse_large_labels(samples)
        return [
            dict(img_path=os.path.join(self.img_prefix, path), gt_label=label)
            for path, label in samples
        ]

    def _require_paths(self) -> None:
        """Refuse settings that lead to no file or folder."""
        require(self.img_prefix, 'folder', 'data_prefix', self.data_root)
        if self.ann_file:
            require(self.ann_file, 'file', 'ann_file', self.data_root)
        require(self.classes_folder, 'folder', 'classes_prefix',
                self.data_root)
        if self.subset:
            require(self.subset, 'file', 'subset')

    def _read_list(self) -> Samples:
        """Samples of the list file."""
        if self.classes_prefix is not None:
            self._define_classes(self._filled_folders())
        known = None if self.CLASSES is None else len(self.CLASSES)
        return read_labels(self.ann_file, known)

    def _find_samples(self) -> Samples:
        """Samples of the class folders."""
        images = {
            name: sorted(self._images(self.img_prefix, name))
            for name in self._folders(self.img_prefix)
        }
        if Path(self.classes_folder) == Path(self.img_prefix):
            self._define_classes({name: bool(images[name]) for name in images})
        else:
            self._define_classes(self._filled_folders())
            self._refuse_strange_folders(images)
        samples = [(path, self.folder_to_idx[name]) for name in images
                   for path in images[name]]
        if not samples:
            raise ValueError(
                f'LabeledDataset: the class folders in "{self.img_prefix}" '
                'hold no images; check data_prefix and extensions.')
        return samples

    def _folders(self, root: str) -> list[str]:
        """The class folders in ``root``, at least one."""
        folders = find_class_folders(root)
        if not folders:
            count = sum(1 for _ in list_images(root, self.extensions))
            raise ValueError(
                f'LabeledDataset: "{root}" holds {count} images without '
                'class folders; put them in a folder for each class, or give '
                'their labels in a list, with ann_file.')
        return folders

    def _images(self, root: str, name: str) -> Iterator[str]:
        """Images of one class folder, relative to ``root``."""
        return list_images(
            os.path.join(root, name), self.extensions, f'{name}/')

    def _filled_folders(self) -> dict[str, bool]:
        """Whether there is an image, by the folder that is a class."""
        root = self.classes_folder
        return {
            name: next(self._images(root, name), None) is not None
            for name in self._folders(root)
        }

    def _define_classes(self, filled: dict[str, bool]) -> None:
        """Number the classes; names that the config gives stay."""
        empty = [name for name in filled if not filled[name]]
        if empty:
            raise ValueError(
                'LabeledDataset: class folders without images in '
                f'"{self.classes_folder}": {quoted(empty)}; fill or remove '
                'them, or change extensions.')
        self.folder_to_idx = {name: i for i, name in enumerate(filled)}
        if self.CLASSES is None:
            self._metainfo['classes'] = tuple(filled)
        elif len(self.CLASSES) != len(filled):
            raise ValueError(
                f'LabeledDataset: {len(self.CLASSES)} classes are named in '
                f'the config, but "{self.classes_folder}" has {len(filled)} '
                'class folders; name as many, or none.')

    def _refuse_strange_folders(self, folders: Iterable[str]) -> None:
        """Folders that are no classes would have no label."""
        strange = [name for name in folders if name not in self.folder_to_idx]
        if strange:
            raise ValueError(
                f'LabeledDataset: folders in "{self.img_prefix}" that are no '
                f'classes in "{self.classes_folder}": {quoted(strange)}; '
                'remove them, or change classes_prefix.')

    def _refuse_large_labels(self, samples: Samples) -> None:
        """A label beyond the outputs of the model ends in a device assert."""
        if self.num_classes is None:
            return
        path, label = max(samples, key=lambda sample: sample[1])
        if label >= self.num_classes:
            raise ValueError(
                f'LabeledDataset: "{path}" has the label {label}, too large '
                f'for num_classes={self.num_classes}; set '
                'model.head.num_classes, and num_classes of the data set, to '
                f'at least {label + 1}.')
