"""DAVIS 2017: videos with a mask of every object in every frame."""

import os
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset
from PIL import Image
from torch import Tensor

from ibot_mm.registry import DATASETS

from .dataset_errors import quoted, require
from .image_lists import read_names

FOLDERS = dict(img='JPEGImages/480p', mask='Annotations/480p')


def read_mask(path: str) -> tuple[np.ndarray, list[int] | None]:
    """Read an indexed image, and not its colors.

    Args:
        path: PNG file.

    Returns:
        Numbers of the objects (H, W), uint8, 0 for background and 255 for
        void, and the colors of the file for them, if there are any.

    Raises:
        ValueError: The pixels are no numbers of objects.
    """
    with Image.open(path) as image:
        if image.mode not in ('P', 'L'):
            raise ValueError(
                f'"{path}" is an image of mode {image.mode}, not an indexed '
                'one; use the annotations of DAVIS 2017 as they are.')
        return np.array(image), image.getpalette()


@DATASETS.register_module()
class DAVIS(BaseDataset):
    """Videos of DAVIS 2017, or of a set in its layout.

    The files are those of https://davischallenge.org/::

        data_root
        ├── JPEGImages/480p/<video>/*.jpg
        ├── Annotations/480p/<video>/*.png
        └── ImageSets/2017/val.txt

    A sample is a video: ``name``, and the sorted paths ``frames`` and
    ``masks``. The frames are read one by one, by :meth:`read_frame`.

    Args:
        data_root: Folder of the data.
        ann_file: List of the videos, relative to ``data_root``.
        data_prefix: Folders of the frames (``img``) and of the masks
            (``mask``), relative to ``data_root``.
        **kwargs: Passed to MMEngine's BaseDataset; ``pipeline`` is that of a
            frame.

    Attributes:
        unit: What a sample is, for the summary of a run.
    """

    unit = 'videos'

    def __init__(self,
                 data_root: str,
                 ann_file: str = 'ImageSets/2017/val.txt',
                 data_prefix: dict = FOLDERS,
                 **kwargs) -> None:
        super().__init__(ann_file=ann_file, data_root=data_root,
                         data_prefix=dict(data_prefix), **kwargs)

    def load_data_list(self) -> list[dict]:
        """List the videos.

        Raises:
            FileNotFoundError: The list or the folder of a video is missing.
            ValueError: There is no video, a frame or a mask is missing, or a
                video is too short.
        """
        require(self.ann_file, 'file', 'ann_file', self.data_root)
        names = read_names(self.ann_file)
        if not names:
            raise ValueError(f'DAVIS: "{self.ann_file}" lists no videos; '
                             'write the name of one per line.')
        return [self._video(name) for name in names]

    def _video(self, name: str) -> dict:
        """Files of a video."""
        found = {}
        for key, ending in (('img', '.jpg'), ('mask', '.png')):
            folder = os.path.join(self.data_prefix[key], name)
            require(folder, 'folder', f'data_prefix.{key} or ann_file',
                    self.data_root)
            found[key] = {
                path.stem: str(path)
                for path in sorted(Path(folder).glob(f'*{ending}'))}
        frames, masks = found['img'], found['mask']
        for kind, missing in (('annotation', frames.keys() - masks.keys()),
                              ('frame', masks.keys() - frames.keys())):
            if missing:
                raise ValueError(
                    f'DAVIS: the video "{name}" has no {kind} '
                    f'{quoted(sorted(missing))}; download it again.')
        if len(frames) < 3:
            raise ValueError(
                f'DAVIS: the video "{name}" has {len(frames)} frames, but the '
                'first and the last are not scored; remove it from '
                f'"{self.ann_file}".')
        return dict(name=name, frames=list(frames.values()),
                    masks=list(masks.values()))

    def read_frame(self, path: str) -> Tensor:
        """A frame after the pipeline, uint8 (3, H, W)."""
        return self.pipeline(dict(img_path=path))['inputs']
