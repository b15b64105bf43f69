"""INRIA Copydays: copies of holiday photographs."""

import os
from pathlib import Path

from mmpretrain.datasets import BaseDataset

from ibot_mm.registry import DATASETS

from .dataset_errors import quoted, require
from .image_lists import find_class_folders, list_images
from .pretrain import image_extensions

# Labels of images in the database that are no originals.
DISTRACTOR, WHITENING = -1, -2


def _images(folder: str) -> list[str]:
    """Sorted paths of the images in a folder."""
    return [os.path.join(folder, name)
            for name in sorted(list_images(folder, image_extensions()))]


def copydays_blocks(data_root: str) -> dict[str, list[str]]:
    """Images of each block of queries.

    Args:
        data_root: Folder of the data.

    Returns:
        Sorted paths by the name of the block: 'original', 'strong', then as
        many of 'jpegqual/<quality>' and 'crops/<percent>' as there are,
        ascending.

    Raises:
        FileNotFoundError: The originals or the strong copies are missing.
        ValueError: A folder of a block is no number.
    """
    blocks = ['original', 'strong']
    for block in blocks:
        require(os.path.join(data_root, block), 'folder', 'data_root',
                data_root)
    for kind in ('jpegqual', 'crops'):
        folder = os.path.join(data_root, kind)
        names = find_class_folders(folder) if os.path.isdir(folder) else []
        if wrong := [name for name in names if not name.isdecimal()]:
            raise ValueError(f'"{folder}" has the folders {quoted(wrong)}; '
                             'name each by its number, or remove it.')
        blocks += [f'{kind}/{name}' for name in sorted(names, key=int)]
    found = {block: _images(os.path.join(data_root, block))
             for block in blocks}
    return {block: paths for block, paths in found.items() if paths}


@DATASETS.register_module()
class Copydays(BaseDataset):
    """Queries or database of Copydays, or of a set in its layout.

    The files are::

        data_root
        ├── original/*.jpg
        ├── strong/*.jpg
        ├── jpegqual/<quality>/*.jpg
        └── crops/<percent>/*.jpg

    An image is a copy of the original whose name starts with the same four
    characters. Its label is the number of that original.

    Args:
        data_root: Folder of the data.
        split: 'queries' for all blocks one after the other, the originals
            too; 'database' for the originals, then the distractors, then the
            images for the whitening.
        distractors: Folder of other images for the database, which get the
            label ``DISTRACTOR``; empty for none.
        whitening: Folder of images from which ``CopyDetection`` learns the
            whitening, with the label ``WHITENING``; empty for none.
        **kwargs: Passed to MMPretrain's BaseDataset.

    Raises:
        ValueError: ``split`` is unknown.
    """

    def __init__(self,
                 data_root: str,
                 split: str = 'queries',
                 distractors: str = '',
                 whitening: str = '',
                 **kwargs) -> None:
        if split not in ('queries', 'database'):
            raise ValueError("Copydays: split must be 'queries' or "
                             f"'database', got {split!r}.")
        self.split = split
        self.others = dict(
            distractors=(distractors, DISTRACTOR),
            whitening=(whitening, WHITENING))
        super().__init__(ann_file='', data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """List the images of the split.

        Raises:
            FileNotFoundError: A folder is missing.
            ValueError: A copy has no original or several.
        """
        blocks = copydays_blocks(self.data_root)
        originals: dict[str, int] = {}
        for i, path in enumerate(blocks['original']):
            if originals.setdefault(Path(path).name[:4], i) != i:
                raise ValueError(
                    f'Copydays: "{path}" and another original have the same '
                    'first four characters, by which copies are assigned; '
                    'rename one of them and its copies.')
        if self.split == 'database':
            return self._database(blocks['original'])
        paths = [path for block in blocks.values() for path in block]
        if orphans := [path for path in paths
                       if Path(path).name[:4] not in originals]:
            raise ValueError(
                f'Copydays: {quoted(orphans)} without an original of the same '
                f'first four characters in "{self.data_root}"; add or remove '
                'them.')
        return [dict(img_path=path, gt_label=originals[Path(path).name[:4]])
                for path in paths]

    def _database(self, originals: list[str]) -> list[dict]:
        """Originals and other images."""
        samples = [dict(img_path=path, gt_label=i)
                   for i, path in enumerate(originals)]
        for setting, (folder, label) in self.others.items():
            if folder:
                require(folder, 'folder', setting)
                samples += [dict(img_path=path, gt_label=label)
                            for path in _images(folder)]
        return samples
