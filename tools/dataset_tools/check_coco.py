"""List all problems of a file of COCO annotations and of its images.

For MMDetection's CocoDataset:

    python tools/dataset_tools/check_coco.py ANN_FILE --images FOLDER

Prints one problem per line; the exit code is 1 if there are any. Lines that
begin with "note:" are no problems, but what MMDetection does with the file.
"""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from PIL import Image

# What CocoDataset reads of each entry, without a default.
KEYS = dict(
    images=('id', 'file_name', 'width', 'height'),
    categories=('id', 'name'),
    annotations=('id', 'image_id', 'category_id', 'bbox', 'area'))
IDS = ('id', 'image_id', 'category_id')
NUMBERS = ('width', 'height', 'area')
UNIQUE = (('images', 'id'), ('annotations', 'id'), ('categories', 'id'),
          ('categories', 'name'))
EXIF_ORIENTATION = 0x0112


def report(findings: Iterable[str]) -> int:
    """Print findings, count those that are problems, return the exit code."""
    count = 0
    for finding in findings:
        print(finding)
        count += not finding.startswith('note:')
    print(f'{count} problems')
    return int(count > 0)


def with_progress(items: Sequence[Any]) -> Iterator[Any]:
    """Yield the items and print their number from time to time."""
    for number, item in enumerate(items, 1):
        yield item
        if number % 1000 == 0 or number == len(items):
            print(f'{number} of {len(items)} images', file=sys.stderr)


def image_size(path: str | Path) -> tuple[int, int]:
    """Decode an image and return the (width, height) that OpenCV gives it.

    Raises:
        OSError: The file does not exist, is no image or is truncated.
    """
    with Image.open(path) as image:
        image.load()
        turned = image.getexif().get(EXIF_ORIENTATION, 1) >= 5
        return image.size[::-1] if turned else image.size


def check_coco(ann_file: str, images: str, classes: Sequence[str] = (),
               masks: bool = False) -> Iterator[str]:
    """Yield the problems and notes of a file.

    Args:
        ann_file: The annotation file.
        images: Folder of the images.
        classes: The class names of the data set, if they are to be compared.
        masks: Whether each box needs a segmentation.
    """
    try:
        content = json.loads(Path(ann_file).read_bytes())
    except ValueError as error:
        yield f'not JSON: {error}'
        return
    if not isinstance(content, dict):
        yield f'a JSON {type(content).__name__}, not an object'
        return
    lists: dict[str, list[dict]] = {}
    for name in KEYS:
        entries = content.get(name)
        if not isinstance(entries, list) or not entries:
            yield f'no list "{name}", or an empty one'
            entries = []
        problems = {i: found for i, entry in enumerate(entries)
                    if (found := _entry_problem(entry, KEYS[name]))}
        yield from (f'{name}[{i}]: {text}' for i, text in problems.items())
        lists[name] = [entry for i, entry in enumerate(entries)
                       if i not in problems]
    for name, key in UNIQUE:
        counts = Counter(entry[key] for entry in lists[name])
        yield from (f'{count} {name} have the {key} {value!r}'
                    for value, count in counts.items() if count > 1)
    names = [entry['name'] for entry in lists['categories']]
    yield from _check_classes(names, list(classes))
    yield from _check_annotations(lists, set(classes or names), masks)
    yield from _check_images(lists['images'], images)


def _entry_problem(entry: Any, keys: Sequence[str]) -> str | None:
    if not isinstance(entry, dict):
        return f'{entry!r} is not an object'
    for key in keys:
        value = entry.get(key)
        if key not in entry:
            return f'no "{key}"'
        if key in IDS and not isinstance(value, (int, str)):
            return f'{key} is {value!r}, not an integer'
        if key in ('file_name', 'name') and not isinstance(value, str):
            return f'{key} is {value!r}, not a text'
        if key in NUMBERS and not _is_number(value):
            return f'{key} is {value!r}, not a number'
        if key == 'bbox' and not (isinstance(value, list) and len(value) == 4
                                  and all(map(_is_number, value))):
            return f'bbox is {value!r}, not [x, y, width, height]'
    masks = entry.get('segmentation')
    if masks is not None and not isinstance(masks, (list, dict)):
        return f'segmentation is {masks!r}, not a list of polygons or an RLE'
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and isfinite(value)


def _check_classes(names: list[str], classes: list[str]) -> Iterator[str]:
    if not classes:
        yield f'note: the categories in order, for metainfo.classes: {names}'
        return
    if missing := [name for name in classes if name not in names]:
        yield (f'{missing} are no categories, so that labels shift; the '
               f'categories are {names}')
    found = [name for name in names if name in classes]
    if not missing and found != classes:
        yield f'the order of the categories is {found}, not {classes}'


def _check_annotations(lists: dict[str, list[dict]], classes: set[str],
                       masks: bool) -> Iterator[str]:
    images = {image['id']: image for image in lists['images']}
    names = {entry['id']: entry['name'] for entry in lists['categories']}
    left_out: Counter[str] = Counter()
    used = set()
    for entry in lists['annotations']:
        place = f'annotation {entry["id"]}'
        if entry['image_id'] not in images:
            yield f'{place}: no image has the id {entry["image_id"]!r}'
        elif entry['category_id'] not in names:
            yield f'{place}: no category has the id {entry["category_id"]!r}'
        elif reason := _unused(entry, images[entry['image_id']],
                               names[entry['category_id']] in classes):
            left_out[reason] += 1
        else:
            used.add(entry['image_id'])
            if masks and not entry.get('segmentation'):
                yield f'{place}: no segmentation'
    for reason, count in left_out.items():
        yield f'note: {count} boxes are not trained on: {reason}'
    if len(used) < len(images):
        yield f'note: {len(images) - len(used)} images have no box to train on'
    if lists['annotations'] and not used:
        yield 'no annotation can be trained on'


def _unused(entry: dict, image: dict, known: bool) -> str | None:
    """Return why CocoDataset does not train on a box, if it does not."""
    x, y, width, height = entry['bbox']
    if not known:
        return 'of other classes'
    if entry.get('ignore') or entry.get('iscrowd'):
        return '"ignore" or "iscrowd"'
    if width < 1 or height < 1 or entry['area'] <= 0:
        return 'width or height below 1, or no area'
    if (min(x + width, image['width']) <= max(x, 0)
            or min(y + height, image['height']) <= max(y, 0)):
        return 'outside of the image'
    return None


def _check_images(images: list[dict], folder: str) -> Iterator[str]:
    for image in with_progress(images):
        path = os.path.join(folder, image['file_name'])
        try:
            size = image_size(path)
        except OSError as error:
            yield f'{path}: {error}'
            continue
        if size != (image['width'], image['height']):
            yield (f'{path}: {size[0]} x {size[1]} pixels, but '
                   f'{image["width"]} x {image["height"]} in the file')


def main() -> int:
    """Check the file that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('ann_file')
    parser.add_argument('--images', required=True, help='their folder')
    parser.add_argument('--classes', nargs='+', default=(),
                        help='metainfo.classes of the data set')
    parser.add_argument('--masks', action='store_true',
                        help='each box needs a segmentation')
    args = parser.parse_args()
    if not os.path.isfile(args.ann_file):
        parser.error(f'there is no file "{args.ann_file}".')
    return report(check_coco(**vars(args)))


if __name__ == '__main__':
    sys.exit(main())
