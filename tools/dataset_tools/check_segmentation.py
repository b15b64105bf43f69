r"""List all problems of a folder of images and its label maps.

For data sets of MMSegmentation:

    python tools/dataset_tools/check_segmentation.py --images FOLDER \
        --maps FOLDER --num-classes 150 --reduce-zero-label

Prints one problem per line; the exit code is 1 if there are any. Lines that
begin with "note:" are no problems.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from check_coco import image_size, report, with_progress
from PIL import Image


def check_segmentation(images: Path, maps: Path, num_classes: int,
                       reduce_zero_label: bool = False,
                       ignore_index: int = 255, img_suffix: str = '.jpg',
                       seg_map_suffix: str = '.png',
                       ann_file: str = '') -> Iterator[str]:
    """Yield the problems and notes of a data set.

    Args:
        images: Folder of the images.
        maps: Folder of the label maps.
        num_classes: Number of classes in the label maps.
        reduce_zero_label: As in the data set: 0 is ignored, 1 the first class.
        ignore_index: As in the data set: the label that is ignored.
        img_suffix: As in the data set.
        seg_map_suffix: As in the data set.
        ann_file: List of the images without suffix, one per line; if empty,
            all in the folder.
    """
    if ann_file:
        names = [n.strip() for n in Path(ann_file).read_text().splitlines()]
    else:
        names = _names(images, img_suffix)
        yield from (f'{maps / name}{seg_map_suffix}: no image'
                    for name in sorted(
                        set(_names(maps, seg_map_suffix)) - set(names)))
    if not names:
        yield f'no image in {ann_file or images} ends in {img_suffix}'
        return
    pixels = np.zeros(num_classes, int)
    for name in with_progress(names):
        image = f'{images / name}{img_suffix}'
        path = f'{maps / name}{seg_map_suffix}'
        size = None
        try:
            size = image_size(image)
        except OSError as error:
            yield f'{image}: {error}'
        try:
            with Image.open(path) as file:
                labels = np.asarray(file).astype(int)
        except OSError as error:
            yield f'{path}: {error}'
            continue
        if labels.ndim > 2:
            yield f'{path}: {labels.shape[2]} channels, not one'
            continue
        if size not in (None, labels.shape[::-1]):
            yield (f'{path}: {labels.shape[1]} x {labels.shape[0]} pixels, '
                   f'but its image {size[0]} x {size[1]}')
        used = labels
        if reduce_zero_label:  # As MMSegmentation's LoadAnnotations.
            used = np.where(np.isin(labels, (0, 255)), 255, labels - 1)
        wrong = (used != ignore_index) & (used >= num_classes)
        if wrong.any():
            low = int(reduce_zero_label)
            yield (f'{path}: {wrong.sum()} pixels of the values '
                   f'{np.unique(labels[wrong]).tolist()}, but the classes are '
                   f'{low} to {num_classes - 1 + low}')
        kept = used[~wrong & (used != ignore_index)]
        pixels += np.bincount(kept, minlength=num_classes)
    if absent := np.flatnonzero(pixels == 0).tolist():
        yield f'note: the labels {absent} do not occur'


def _names(folder: Path, suffix: str) -> list[str]:
    """List the files of a folder, relative and without suffix."""
    return sorted(str(path.relative_to(folder))[:-len(suffix)]
                  for path in folder.rglob(f'*{suffix}')
                  if path.name[0] != '.')


def main() -> int:
    """Check the folders that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=Path, required=True)
    parser.add_argument('--maps', type=Path, required=True)
    parser.add_argument('--num-classes', type=int, required=True)
    parser.add_argument('--reduce-zero-label', action='store_true')
    parser.add_argument('--ignore-index', type=int, default=255)
    parser.add_argument('--img-suffix', default='.jpg')
    parser.add_argument('--seg-map-suffix', default='.png')
    parser.add_argument('--ann-file', default='', help='list of the images')
    args = parser.parse_args()
    for folder in (args.images, args.maps):
        if not folder.is_dir():
            parser.error(f'there is no folder "{folder}".')
    return report(check_segmentation(**vars(args)))


if __name__ == '__main__':
    sys.exit(main())
