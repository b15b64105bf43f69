"""Images without labels, for a validation that needs none."""

import os

from ibot_mm.registry import DATASETS

from .dataset_errors import require
from .evaluation_dataset import EvaluationDataset
from .image_lists import evenly_spaced, list_images, read_names


@DATASETS.register_module()
class UnlabeledDataset(EvaluationDataset):
    """Images of a folder, nested or flat, or of a list file.

    Args:
        data_root: Folder of the data.
        data_prefix: Folder of the images, relative to ``data_root``.
        ann_file: List file with a path per line, relative to ``data_root``;
            all images of the folder if empty.
        max_images: Number of images to keep, at equal distances in the sorted
            list; None for all.
        **kwargs: Passed to :class:`EvaluationDataset`.
    """

    def __init__(self,
                 data_root: str = '',
                 data_prefix: str | dict = '',
                 ann_file: str = '',
                 max_images: int | None = None,
                 **kwargs) -> None:
        self.max_images = max_images
        super().__init__(
            data_root=data_root,
            data_prefix=data_prefix,
            ann_file=ann_file,
            with_label=False,
            **kwargs)

    def load_data_list(self) -> list:
        """List the images.

        Raises:
            FileNotFoundError: The folder or the list file is missing.
            ValueError: There are no images.
        """
        require(self.img_prefix, 'folder', 'data_prefix', self.data_root)
        if self.ann_file:
            require(self.ann_file, 'file', 'ann_file', self.data_root)
            names = read_names(self.ann_file)
        else:
            names = sorted(list_images(self.img_prefix, self.extensions))
        if not names:
            raise ValueError(
                'UnlabeledDataset: there are no images in '
                f'"{self.ann_file or self.img_prefix}"; check data_prefix, '
                'ann_file and extensions.')
        kept = evenly_spaced(len(names), self.max_images or len(names))
        return [dict(img_path=os.path.join(self.img_prefix, names[i]))
                for i in kept]
