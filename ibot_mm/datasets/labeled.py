"""Labeled images for evaluation and supervised training."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ibot_mm.registry import DATASETS

from .dataset_errors import quoted, require
from .evaluation_dataset import EvaluationDataset
from .image_lists import (
    Samples,
    find_class_folders,
    keep_subset,
    list_images,
    read_labels,
)


@DATASETS.register_module()
class LabeledDataset(EvaluationDataset):
    """MMPretrain's CustomDataset with consistent labels across splits.

    Labels come from class folders or from a list file. CustomDataset numbers
    the folders of each split, so labels shift if a validation folder lacks a
    class; with ``classes_prefix``, one folder defines the classes of all
    splits. Folders must be local.

    Args:
        data_root: Folder of the data.
        data_prefix: Folder of the images, relative to ``data_root``.
        ann_file: List file with ``path label`` per line, relative to
            ``data_root``; class folders are used if empty.
        classes_prefix: Folder, relative to ``data_root``, whose sorted
            subfolders are the classes; ``data_prefix`` if None.
        subset: List file of the images to keep, absolute or relative to the
            working directory: a file name per line, with or without its
            folder.
        **kwargs: Passed to :class:`EvaluationDataset`.
    """

    def __init__(self,
                 data_root: str = '',
                 data_prefix: str | dict = '',
                 ann_file: str = '',
                 classes_prefix: str | None = None,
                 subset: str = '',
                 **kwargs) -> None:
        self.classes_prefix = classes_prefix
        self.subset = os.path.expanduser(subset)
        super().__init__(
            data_root=data_root,
            data_prefix=data_prefix,
            ann_file=ann_file,
            **kwargs)

    @property
    def classes_folder(self) -> str:
        """The folder whose subfolders are the classes."""
        if self.classes_prefix is None:
            return self.img_prefix
        return os.path.join(self.data_root,
                            os.path.expanduser(self.classes_prefix))

    def load_data_list(self) -> list:
        """List the samples.

        Raises:
            FileNotFoundError: A folder or a list file is missing.
            ValueError: Folders, lists, labels and classes are inconsistent.
        """
        self._require_paths()
        samples = self._read_list() if self.ann_file else self._find_samples()
        if self.subset:
            samples = keep_subset(samples, self.subset)
        return [
            dict(img_path=os.path.join(self.img_prefix, path), gt_label=label)
            for path, label in samples
        ]

    def _require_paths(self) -> None:
        """Raise if a configured file or folder does not exist."""
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
            self._check_folders(images)
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
        """Whether a class folder contains images, by its name."""
        root = self.classes_folder
        return {
            name: next(self._images(root, name), None) is not None
            for name in self._folders(root)
        }

    def _define_classes(self, filled: dict[str, bool]) -> None:
        """Number the classes; class names of the config take precedence."""
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
                f'LabeledDataset: the config names {len(self.CLASSES)} '
                f'classes, but "{self.classes_folder}" has {len(filled)} '
                'class folders; name as many, or none.')

    def _check_folders(self, folders: Iterable[str]) -> None:
        """Raise if a folder of images is not a class."""
        unknown = [name for name in folders if name not in self.folder_to_idx]
        if unknown:
            raise ValueError(
                f'LabeledDataset: folders in "{self.img_prefix}" that are '
                f'not classes in "{self.classes_folder}": {quoted(unknown)}; '
                'remove them, or change classes_prefix.')
