"""What the explorer shows of one network, without a page."""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from picture_inputs import as_inputs, fitted, open_network, patch_grid
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from ibot_mm.apis import ImageFeatures
from ibot_mm.apis.prototype_assignment import (
    largest_logits,
    load_centers,
    load_neck,
)
from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.datasets.image_paths import ImagePaths, collate_images
from ibot_mm.datasets.transforms import LoadImage
from ibot_mm.visualization.attention import cls_attention, has_cls_token
from ibot_mm.visualization.cell_size import cell_size

SHOWN = 480  # pixels of the longer side of a picture, at least about


def magnified(image: np.ndarray, side: int = SHOWN) -> np.ndarray:
    """A small image, an integer number of times as large.

    Args:
        image: (H, W, 3), uint8.
        side: Largest length of the longer side of the result.
    """
    times = max(side // max(image.shape[:2]), 1)
    return cv2.resize(image, None, fx=times, fy=times,
                      interpolation=cv2.INTER_CUBIC)


class Sight(NamedTuple):
    """An image as a network sees it.

    Attributes:
        image: (H, W, 3), uint8 BGR, of whole patches, :func:`magnified`.
        tokens: Patch tokens after the final norm, (h, w, C).
        attention: Of the CLS token by head, (heads, h, w); None without one.
    """

    image: np.ndarray
    tokens: Tensor
    attention: Tensor | None


class FolderFeatures(NamedTuple):
    """Features of N images, whose center squares all have one size.

    Attributes:
        names: Paths of the images.
        cls: CLS tokens, float16 (N, C).
        patches: Patch tokens, float16 (N, h, h, C).
        files: The squares as JPEG.
    """

    names: list[str]
    cls: Tensor
    patches: Tensor
    files: list[bytes]

    def picture(self, number: int) -> np.ndarray:
        """The center square of an image, uint8 BGR."""
        data = np.frombuffer(self.files[number], np.uint8)
        return cv2.imdecode(data, cv2.IMREAD_COLOR)


def load_square(path: Path, side: int) -> Tensor:
    """The center square of an image file, uint8 (3, side, side), BGR.

    Raises:
        ImageDecodeError: The file cannot be read.
    """
    image = LoadImage().transform(dict(img_path=str(path)))['img']
    length = min(image.shape[:2])
    top, left = ((whole - length) // 2 for whole in image.shape[:2])
    square = image[top:top + length, left:left + length]
    return torch.from_numpy(fitted(square, side, side)).permute(2, 0, 1)


class ExploredNetwork:
    """A network, and the features of a folder.

    Args:
        args: The command line.
        checkpoint: File of the network.

    Raises:
        CheckpointError: The checkpoint cannot be read.

    Attributes:
        name: The checkpoint.
        no_attention, no_patterns: Why there are none; '' if there are.
        centers: Centers of the training; None if the file has none.
        folder: Features, once :meth:`read_folder` has run.
    """

    folder: FolderFeatures

    def __init__(self, args: argparse.Namespace, checkpoint: str) -> None:
        args = argparse.Namespace(**{**vars(args), 'checkpoint': checkpoint})
        self.name = checkpoint
        self.embedder = open_network(args)
        self.backbone = self.embedder.backbone
        self.cell = cell_size(self.backbone)
        self.no_attention = self.no_patterns = ''
        if not has_cls_token(self.backbone):
            self.no_attention = (f'{type(self.backbone).__name__} has no CLS '
                                 'token whose attention could be drawn.')
        self.neck = self.centers = None
        try:
            self.neck = load_neck(checkpoint, args.network).to(
                self.embedder.device)
            self.centers = tuple(center.to(self.embedder.device)
                                 for center in load_centers(checkpoint))
        except CheckpointError as error:
            if self.neck is None:
                self.no_patterns = str(error)
        self._assigned: dict[bool, dict[str, np.ndarray]] = {}

    def read_folder(self, paths: Sequence[Path], side: int,
                    workers: int) -> None:
        """Compute the features of images; bad files are named and left out.

        Args:
            paths: The images.
            side: Patches per side of the square of an image.
            workers: Number of processes that read images.

        Raises:
            ValueError: None of the images can be read.
        """
        load = partial(load_square, side=side * self.cell)
        loader = DataLoader(ImagePaths(Path(), [str(p) for p in paths], load),
                            16, num_workers=workers,
                            collate_fn=collate_images)
        width = self.backbone.block_widths[-1]
        # Filled in place: twice the memory would be needed to join batches.
        cls = torch.empty(len(paths), width, dtype=torch.half)
        patches = torch.empty(len(paths), side, side, width, dtype=torch.half)
        names, files = [], []
        with tqdm(total=len(paths), unit=' images', disable=None,
                  desc=f'features of {self.name}') as bar:
            for batch, inputs, bad in loader:
                for file in bad:
                    tqdm.write(f'left out: "{file.path}" {file.reason}')
                bar.update(len(batch) + len(bad))
                if inputs is None:
                    continue
                found = self.embedder.encode(inputs)
                part = slice(len(names), len(names) + len(batch))
                cls[part], patches[part] = found.cls, found.patches
                names += batch
                for image in inputs.permute(0, 2, 3, 1).numpy():
                    files.append(cv2.imencode('.jpg', image)[1].tobytes())
        if not names:
            raise ValueError(f'none of {len(paths)} images can be read.')
        self.folder = FolderFeatures(names, cls[:len(names)],
                                     patches[:len(names)], files)

    def look(self, image: np.ndarray, size: int) -> Sight:
        """Compute what is shown of an image.

        Args:
            image: (H, W, 3), uint8 BGR.
            size: Longer side in pixels to which it is resized.
        """
        image = fitted(image, size, self.cell)
        inputs = as_inputs(image, self.embedder)
        return Sight(magnified(image), patch_grid(self.backbone, inputs),
                     None if self.no_attention else
                     cls_attention(self.backbone, inputs)[0])

    def assigned(self, centered: bool) -> dict[str, np.ndarray]:
        """Prototypes of the folder's tokens, computed at the first call.

        Args:
            centered: Whether to subtract the centers of the training.

        Returns:
            The arrays of ``PrototypeAssignment``.
        """
        if centered not in self._assigned:
            centers = self.centers if centered else (0, 0)
            parts = [
                largest_logits(self.neck, ImageFeatures(cls, cls, patches),
                               centers)
                for cls, patches in zip(
                    tqdm(self.folder.cls.split(64), unit=' batches',
                         desc='prototypes', disable=None),
                    self.folder.patches.split(64))]
            self._assigned[centered] = {
                name: np.concatenate([part[name] for part in parts])
                for name in parts[0]}
        return self._assigned[centered]
