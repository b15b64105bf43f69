"""Label maps of the images in an annotation file of COCO."""

import io
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np


class CocoLabelMaps:
    """Objects of images as label maps: 1, on 0.

    Crowd regions are 255, which is not counted, where no object covers them.

    Args:
        file: Annotation file with masks; images are found by their names.
        categories: Ids of the categories that are objects; all if empty.

    Raises:
        ImportError: pycocotools is not installed.
        ValueError: The file cannot be read, has two images of one name, or
            no such category.
    """

    def __init__(self, file: str, categories: Sequence[int] = ()) -> None:
        try:
            from pycocotools.coco import COCO
        except ModuleNotFoundError as error:
            raise ImportError(f'--masks {file} needs the package pycocotools: '
                              'pip install pycocotools') from error
        self.file = file
        try:
            with redirect_stdout(io.StringIO()):  # it reports its loading
                self.coco = COCO(file)
            images = [(Path(image['file_name']).name, image)
                      for image in self.coco.imgs.values()]
        except (ValueError, KeyError, AssertionError) as error:
            raise ValueError(f'"{file}" is no annotation file of COCO '
                             f'({error}).') from error
        self.images = dict(images)
        for name, count in Counter(name for name, _ in images).items():
            if count > 1:
                raise ValueError(f'"{file}" has {count} images named '
                                 f'"{name}", in several folders; images are '
                                 'found by their names, so rename them.')
        unknown = set(categories) - set(self.coco.cats)
        if unknown:
            raise ValueError(f'--labels: "{file}" has no category '
                             f'{min(unknown)}; its ids are '
                             f'{sorted(self.coco.cats)}.')
        self.categories = list(categories)

    def __call__(self, image: Path) -> np.ndarray:
        """Label map (H, W) of an image, uint8.

        Raises:
            ValueError: The annotation file does not name the image, or has no
                masks.
        """
        entry = self.images.get(image.name)
        if entry is None:
            raise ValueError(f'"{self.file}" has no image named '
                             f'"{image.name}".')
        try:
            labels = np.zeros((entry['height'], entry['width']), np.uint8)
            for crowd, label in ((True, 255), (False, 1)):  # objects on top
                for annotation in self.coco.loadAnns(self.coco.getAnnIds(
                        entry['id'], self.categories, iscrowd=crowd)):
                    labels[self.coco.annToMask(annotation) > 0] = label
        except KeyError as error:
            raise ValueError(
                f'"{self.file}" has no {error} for the objects of '
                f'"{image.name}", as annotation files with masks have it.'
            ) from error
        return labels
