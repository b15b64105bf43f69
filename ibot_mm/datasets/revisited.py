"""Revisited Oxford and Paris buildings (arXiv 1803.11285)."""

import os

from mmpretrain.datasets import BaseDataset

from ibot_mm.registry import DATASETS

from .dataset_errors import require
from .ground_truth import read_ground_truth

# Entries of the ground truth: names of the images of each split.
NAMES = dict(database='imlist', queries='qimlist')


@DATASETS.register_module()
class RevisitedBuildings(BaseDataset):
    """Images of ROxford5k or RParis6k, or of a set in their layout.

    The files are those of http://cmp.felk.cvut.cz/revisitop/::

        data_root
        ├── gnd_roxford5k.pkl
        └── jpg/*.jpg

    The label of an image is its number in the split, by which
    ``RevisitedRetrieval`` finds it in the ground truth.

    Args:
        data_root: Folder of the data.
        ann_file: Ground truth, relative to ``data_root``.
        split: 'database' or 'queries'. Queries are complete images, not
            cropped to their boxes.
        data_prefix: Folder of the images, relative to ``data_root``.
        **kwargs: Passed to MMPretrain's BaseDataset.

    Raises:
        ValueError: ``split`` is unknown.
    """

    def __init__(self,
                 data_root: str,
                 ann_file: str,
                 split: str = 'database',
                 data_prefix: str | dict = 'jpg',
                 **kwargs) -> None:
        if split not in NAMES:
            raise ValueError("RevisitedBuildings: split must be 'database' or "
                             f"'queries', got {split!r}.")
        self.split = split
        super().__init__(
            ann_file=ann_file, data_root=data_root, data_prefix=data_prefix,
            **kwargs)

    def load_data_list(self) -> list[dict]:
        """List the images of the split.

        Raises:
            FileNotFoundError: The ground truth or the folder of images is
                missing.
            ValueError: The ground truth cannot be read.
        """
        require(self.ann_file, 'file', 'ann_file', self.data_root)
        require(self.img_prefix, 'folder', 'data_prefix', self.data_root)
        key = NAMES[self.split]
        return [
            dict(img_path=os.path.join(self.img_prefix, f'{name}.jpg'),
                 gt_label=i) for i, name in enumerate(
                     read_ground_truth(self.ann_file, (key, ))[key])
        ]
