"""iNaturalist data sets of the 2018 and 2019 competitions."""

import json
import os

from mmpretrain.datasets import BaseDataset

from ibot_mm.registry import DATASETS

from .dataset_errors import quoted, require

YEARS = (2018, 2019)
SPLITS = ('train', 'val')


@DATASETS.register_module()
class INaturalist(BaseDataset):
    """Images of iNaturalist 2018 (8142 classes) or 2019 (1010 classes).

    The files are those of https://github.com/visipedia/inat_comp::

        data_root
        ├── train_val2018/...
        ├── train2018.json
        └── val2018.json

    In both splits the label of a category is the rank of its id among the
    categories of the training file.

    Args:
        data_root: Folder of the data.
        split: 'train' or 'val'.
        year: 2018 or 2019.
        **kwargs: Passed to MMPretrain's BaseDataset.

    Raises:
        ValueError: ``split`` or ``year`` is unknown.
    """

    def __init__(self,
                 data_root: str,
                 split: str = 'train',
                 year: int = 2018,
                 **kwargs) -> None:
        if split not in SPLITS:
            raise ValueError(
                f"INaturalist: split must be 'train' or 'val', got {split!r}.")
        if year not in YEARS:
            raise ValueError(
                f'INaturalist: year must be 2018 or 2019, got {year!r}.')
        self.split = split
        self.year = year
        super().__init__(
            ann_file=f'{split}{year}.json', data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """List the samples.

        Raises:
            FileNotFoundError: A file or the folder of images is missing.
            ValueError: A file does not match the competition's format.
        """
        images = os.path.join(self.data_root, f'train_val{self.year}')
        require(images, 'folder', 'data_root or year', self.data_root)
        content = self._read(self.ann_file, ('images', 'annotations'))
        ranks = self._rank_categories()
        labels = self._labels(content['annotations'], ranks)
        missing = [image['file_name'] for image in content['images']
                   if image['id'] not in labels]
        if missing:
            raise ValueError(
                f'{self.ann_file}: images without annotation: '
                f'{quoted(missing)}; download the file again.')
        return [
            dict(
                img_path=os.path.join(self.data_root, image['file_name']),
                gt_label=labels[image['id']]) for image in content['images']
        ]

    def _rank_categories(self) -> dict[int, int]:
        """Labels by category id; also sets the class names."""
        path = os.path.join(self.data_root, f'train{self.year}.json')
        categories = sorted(
            self._read(path, ('categories', ))['categories'],
            key=lambda category: category['id'])
        self._metainfo.setdefault(
            'classes', tuple(category['name'] for category in categories))
        return {category['id']: i for i, category in enumerate(categories)}

    def _labels(self, annotations: list[dict],
                ranks: dict[int, int]) -> dict[int, int]:
        """Labels by image id."""
        ids = {note['category_id'] for note in annotations}
        unknown = sorted(ids - ranks.keys())
        if unknown:
            raise ValueError(
                f'{self.ann_file}: categories that are not in '
                f'train{self.year}.json: {quoted(unknown)}; use two files of '
                'one year.')
        return {note['image_id']: ranks[note['category_id']]
                for note in annotations}

    def _read(self, path: str, keys: tuple) -> dict:
        """Read a JSON file that must contain ``keys``."""
        require(path, 'file', 'data_root or year', self.data_root)
        try:
            with open(path, encoding='utf-8') as file:
                content = json.load(file)
        except ValueError as error:
            raise ValueError(f'{path} is not a JSON file ({error}); download '
                             'it again.') from error
        for key in keys:
            if not isinstance(content, dict) or key not in content:
                raise ValueError(f'{path} has no "{key}"; download the file '
                                 'of the competition again.')
        return content
