"""What a file of COCO annotations must hold to be read rightly."""

import json
from collections.abc import Sequence
from math import isfinite
from typing import Any

from mmengine import fileio

from .dataset_errors import quoted

# What the host reads of each entry, without a default.
KEYS = dict(
    images=('id', 'file_name', 'width', 'height'),
    categories=('id', 'name'),
    annotations=('id', 'image_id', 'category_id', 'bbox', 'area'))
IDS = ('id', 'image_id', 'category_id')
NUMBERS = ('width', 'height', 'area')


def check_coco_file(path: str,
                    classes: Sequence[str],
                    learn: bool = True,
                    backend_args: dict | None = None) -> None:
    """Refuse annotations that the host would stumble over or misread.

    Args:
        path: The file, which exists.
        classes: Class names of the data set.
        learn: Whether there have to be annotations; otherwise they are only
            checked where there are some.
        backend_args: Where the file is, as in the host.

    Raises:
        ValueError: The file is wrong, and how.
    """
    content = _read(path, backend_args)
    for name in KEYS:
        if name == 'annotations' and not learn and name not in content:
            continue
        _check_list(content, name, path)
    if not content['images']:
        raise ValueError(f'"{path}" lists no images; change ann_file of the '
                         'data set.')
    if learn and not content['annotations']:
        raise ValueError(
            f'"{path}" lists no annotations, so that there is nothing to '
            'learn; change ann_file of the data set.')
    _check_images(content, path)
    _check_annotations(content, path)
    _check_classes([entry['name'] for entry in content['categories']],
                   list(classes), path)


def _read(path: str, backend_args: dict | None) -> dict[str, Any]:
    """The content of the file, an object of JSON."""
    text = fileio.get(path, backend_args=backend_args)
    try:
        content = json.loads(text)
    except ValueError as error:
        reason = f'is not JSON ({error})' if text.strip() else 'is empty'
        raise ValueError(f'"{path}" {reason}; write COCO annotations, or '
                         'change ann_file of the data set.') from error
    if not isinstance(content, dict):
        raise ValueError(
            f'"{path}" holds a JSON {type(content).__name__}, not the object '
            'of COCO annotations; change ann_file of the data set.')
    return content


def _check_list(content: dict[str, Any], name: str, path: str) -> None:
    """One of the lists, and the keys of its entries with their types."""
    if not isinstance(content.get(name), list):
        raise ValueError(
            f'"{path}" has no list "{name}", only {quoted(list(content))}; '
            'write COCO annotations, or change ann_file of the data set.')
    keys = set(KEYS[name])
    ids, numbers = keys.intersection(IDS), keys.intersection(NUMBERS)
    for number, entry in enumerate(content[name]):
        if not isinstance(entry, dict):
            raise ValueError(f'"{path}": entry {number} of "{name}" is '
                             f'{entry!r}, not an object; correct the file.')
        if not keys <= entry.keys():
            missing = [key for key in KEYS[name] if key not in entry]
            raise ValueError(
                f'"{path}": entry {number} of "{name}" (id '
                f'{entry.get("id")}) has no {quoted(missing)}; add it.')
        for key in ids:
            if not isinstance(entry[key], (int, str)):
                raise ValueError(
                    f'"{path}": entry {number} of "{name}" has the {key} '
                    f'{entry[key]!r}; write an integer or a text.')
        for key in numbers:
            if not _is_number(entry[key]):
                raise ValueError(
                    f'"{path}": entry {number} of "{name}" (id '
                    f'{entry["id"]}) has the {key} {entry[key]!r}; write a '
                    'number.')


def _check_images(content: dict[str, Any], path: str) -> None:
    """Ids of the images, of which the host takes the last of each."""
    names: dict[Any, Any] = {}
    for entry in content['images']:
        if entry['id'] in names:
            raise ValueError(
                f'"{path}": the images "{names[entry["id"]]}" and '
                f'"{entry["file_name"]}" have the same id {entry["id"]!r}; '
                'give each image its own.')
        names[entry['id']] = entry['file_name']


def _check_annotations(content: dict[str, Any], path: str) -> None:
    """What the annotations refer to and hold, if there are any."""
    known = {entry['id']: None for entry in content['categories']}
    images = {entry['id']: None for entry in content['images']}
    for entry in content.get('annotations', ()):
        if entry['image_id'] not in images:
            raise ValueError(_stray(entry, list(images), path))
        if entry['category_id'] not in known:
            raise ValueError(
                f'"{path}": annotation {entry["id"]} has the category_id '
                f'{entry["category_id"]!r}, which is not in "categories" '
                f'(the first ids: {list(known)[:10]}); correct one of them.')
        if not _is_box(entry['bbox']):
            raise ValueError(
                f'"{path}": annotation {entry["id"]} has the bbox '
                f'{entry["bbox"]}; write [x, y, width, height] in pixels.')
        # A null counts as none in the host.
        masks = entry.get('segmentation')
        if masks is not None and not isinstance(masks, (list, dict)):
            raise ValueError(
                f'"{path}": annotation {entry["id"]} has the segmentation '
                f'{masks!r}; write a list of polygons, an RLE object, or '
                'leave it out.')


def _stray(entry: dict[str, Any], images: list[Any], path: str) -> str:
    """What is wrong with an annotation of no image."""
    wrong = entry['image_id']
    alike = [image for image in images if str(image) == str(wrong)]
    if alike:
        hint = (f'one has the id {alike[0]!r}, so write both as integers or '
                'both as texts')
    else:
        hint = (f'the first ids: {images[:10]}; correct or remove the '
                'annotation')
    return (f'"{path}": annotation {entry["id"]} has the image_id {wrong!r}, '
            f'which no image of "images" has: {hint}.')


def _is_box(box: Any) -> bool:
    """Whether it is four finite numbers."""
    return (isinstance(box, list) and len(box) == 4
            and all(map(_is_number, box)))


def _is_number(value: Any) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, (int, float)) and isfinite(value)


def _check_classes(names: Sequence[str], classes: Sequence[str],
                   path: str) -> None:
    """The host numbers the categories it finds, in the file's order."""
    missing = [name for name in classes if name not in names]
    if missing:
        raise ValueError(
            f'{len(missing)} of the {len(classes)} classes of the data set '
            f'are no categories of "{path}": {quoted(missing)}, which would '
            'shift the labels of the others; set metainfo.classes of the '
            f'data set to names of its categories: {quoted(names, 10)}.')
    found = [name for name in names if name in set(classes)]
    if found != list(classes):
        raise ValueError(
            f'"{path}" has the categories {quoted(found, 10)} in this order, '
            f'the data set the classes {quoted(classes, 10)}, so that labels '
            'would get wrong names; give metainfo.classes of the data set '
            "the file's order, each name once.")
