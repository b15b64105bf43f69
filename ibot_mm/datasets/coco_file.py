"""What a file of COCO annotations must hold to be read rightly."""

import json
from math import isfinite
from typing import Any, Dict, Optional, Sequence

from mmengine import fileio

from .dataset_errors import quoted

# What the host reads of each entry, without a default.
KEYS = dict(
    images=('id', 'file_name', 'width', 'height'),
    categories=('id', 'name'),
    annotations=('id', 'image_id', 'category_id', 'bbox', 'area'))


def check_coco_file(path: str,
                    classes: Sequence[str],
                    learn: bool = True,
                    backend_args: Optional[dict] = None) -> None:
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
    _check_annotations(content, path)
    _check_classes([entry['name'] for entry in content['categories']],
                   list(classes), path)


def _read(path: str, backend_args: Optional[dict]) -> Dict[str, Any]:
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


def _check_list(content: Dict[str, Any], name: str, path: str) -> None:
    """One of the lists, and the keys of its entries."""
    if not isinstance(content.get(name), list):
        raise ValueError(
            f'"{path}" has no list "{name}", only {quoted(list(content))}; '
            'write COCO annotations, or change ann_file of the data set.')
    keys = set(KEYS[name])
    for number, entry in enumerate(content[name]):
        if not isinstance(entry, dict):
            raise ValueError(f'"{path}": entry {number} of "{name}" is '
                             f'{entry!r}, not an object; correct the file.')
        if not keys <= entry.keys():
            missing = [key for key in KEYS[name] if key not in entry]
            raise ValueError(
                f'"{path}": entry {number} of "{name}" (id '
                f'{entry.get("id")}) has no {quoted(missing)}; add it.')


def _check_annotations(content: Dict[str, Any], path: str) -> None:
    """Boxes and categories of the annotations, if there are any."""
    known = {entry['id']: None for entry in content['categories']}
    for entry in content.get('annotations', ()):
        if entry['category_id'] not in known:
            raise ValueError(
                f'"{path}": annotation {entry["id"]} has the category_id '
                f'{entry["category_id"]!r}, which is not in "categories" '
                f'(the first ids: {list(known)[:10]}); correct one of them.')
        if not _is_box(entry['bbox']):
            raise ValueError(
                f'"{path}": annotation {entry["id"]} has the bbox '
                f'{entry["bbox"]}; write [x, y, width, height] in pixels.')


def _is_box(box: Any) -> bool:
    """Whether it is four finite numbers."""
    return isinstance(box, list) and len(box) == 4 and all(
        isinstance(value, (int, float)) and isfinite(value) for value in box)


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
