"""Folders that are classes, and the images in them."""

import os
from typing import Iterator, List, Tuple


def find_class_folders(root: str) -> List[str]:
    """Sorted names of the folders in ``root``, without hidden ones."""
    with os.scandir(root) as entries:
        return sorted(entry.name for entry in entries
                      if entry.is_dir() and not entry.name.startswith('.'))


def list_images(folder: str,
                extensions: Tuple[str, ...],
                prefix: str = '') -> Iterator[str]:
    """Paths of the images in a folder and all below, relative to it.

    Most file systems tell folders from files while they list them, so that
    no file is looked at on its own.

    Args:
        folder: Where to look.
        extensions: Lower-case endings of file names that count as images.
        prefix: Put in front of every path.

    Yields:
        Paths with '/' between folders, in no order. Hidden files are left
        out.
    """
    below = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith('.'):
                continue
            if entry.is_dir():
                below.append(entry.name)
            elif entry.name.lower().endswith(extensions):
                yield prefix + entry.name
    for name in below:
        yield from list_images(
            os.path.join(folder, name), extensions, f'{prefix}{name}/')
