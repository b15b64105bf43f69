"""Refuse label maps with values that are no class."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from ibot_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CheckSegLabels(BaseTransform):
    """Check a label map as MMSegmentation's ``LoadAnnotations`` leaves it.

    On a GPU a wrong label ends in a device assert, which names no file.
    Required keys: ``gt_seg_map``, (H, W) uint8, and ``seg_map_path``; with
    ``reduce_zero_label`` and ``label_map`` the message speaks of the values
    that the file holds. With ``ori_shape``, (height, width) of the image, the
    size is checked too.

    Args:
        num_classes: Number of classes, which labels must be below.
        ignore_index: Label that counts as none.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    def transform(self, results: dict) -> dict:
        """Give the sample back as it is.

        Raises:
            ValueError: The label map, whose file it names, has several
                channels, another size than its image, or labels that are no
                class.
        """
        labels = results['gt_seg_map']
        if labels.ndim > 2:
            raise ValueError(
                f'"{results["seg_map_path"]}" is no label map but an image '
                f'of the shape {labels.shape}; write the number of its class '
                'in each pixel, in one channel.')
        shape = tuple(results.get('ori_shape', labels.shape))[:2]
        # The host drops a side of a single pixel.
        if labels.squeeze().shape != tuple(n for n in shape if n != 1):
            raise ValueError(
                f'"{results["seg_map_path"]}" has a height x width of '
                f'{_size(labels.shape)}, but its image of {_size(shape)}; '
                'replace one of them.')
        wrong = (labels >= self.num_classes) & (labels != self.ignore_index)
        if wrong.any():
            raise ValueError(
                self._complaint(results, np.unique(labels[wrong])))
        return results

    def _complaint(self, results: dict, wrong: np.ndarray) -> str:
        """What is wrong, in values of the file."""
        low = int(bool(results.get('reduce_zero_label')))
        # With classes left out the file still has the numbers of all.
        count = len(results.get('label_map') or range(self.num_classes))
        values = ', '.join(str(value + low) for value in wrong[:5].tolist())
        more = f' and {len(wrong) - 5} more' if len(wrong) > 5 else ''
        ignored = f'0 or {self.ignore_index}' if low else self.ignore_index
        return (f'"{results["seg_map_path"]}" has pixels of value {values}'
                f'{more}, but {count} classes are numbered {low} to '
                f'{low + count - 1}, and {ignored} is ignored; correct the '
                'file, or change metainfo.classes or reduce_zero_label of '
                'the data set.')


def _size(shape: Sequence[int]) -> str:
    """A size for messages."""
    return ' x '.join(map(str, shape))
