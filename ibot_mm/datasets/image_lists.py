"""Lists of images, from class folders and from text files."""

import os
from collections.abc import Iterator

from .dataset_errors import quoted


def find_class_folders(root: str) -> list[str]:
    """Sorted names of the folders in ``root``, without hidden ones."""
    with os.scandir(root) as entries:
        return sorted(entry.name for entry in entries
                      if entry.is_dir() and not entry.name.startswith('.'))


def list_images(folder: str,
                extensions: tuple[str, ...],
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


Samples = list[tuple[str, int]]


def _lines(path: str) -> Iterator[tuple[int, str]]:
    """Numbers and contents of the lines that are not blank."""
    with open(path, encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, line.strip()


def _label(text: str, num_classes: int | None) -> int:
    """The label at the end of a line; complains without saying where."""
    try:
        label = int(text)
    except ValueError:
        raise ValueError(f'the label {text!r} is not an integer') from None
    if label < 0:
        raise ValueError(f'the label {label} is negative')
    if num_classes is not None and label >= num_classes:
        raise ValueError(f'the label {label} is too large for {num_classes} '
                         'classes, which count from 0')
    return label


def read_labels(path: str, num_classes: int | None = None) -> Samples:
    """Read lines of an image's path and its label.

    Args:
        path: The list; blank lines are skipped.
        num_classes: Number that labels must be below; any if None.

    Returns:
        Paths and labels, in order.

    Raises:
        ValueError: A line has no label or a wrong one, or there is no line.
    """
    samples = []
    for number, line in _lines(path):
        name, *label = line.rsplit(maxsplit=1)
        try:
            if not label:
                raise ValueError(f'there is no label after {name!r}')
            samples.append((name, _label(label[0], num_classes)))
        except ValueError as error:
            raise ValueError(f'{path}, line {number}: {error}; write '
                             '"path label" with labels from 0.') from None
    if not samples:
        raise ValueError(f'{path} lists no image; write one "path label" a '
                         'line, or change ann_file.')
    return samples


def _find(wanted: dict[str, None], samples: Samples) -> dict[str, set[str]]:
    """Paths of samples by the wanted name, with or without folder."""
    found: dict[str, set[str]] = {}
    for path, _ in samples:
        for name in (path, path.rpartition('/')[2]):
            if name in wanted:
                found.setdefault(name, set()).add(path)
    return found


def keep_subset(samples: Samples, path: str) -> Samples:
    """Keep the samples whose names a file lists.

    Args:
        samples: Paths and labels.
        path: A list of names, with or without the folders in front of them,
            as the lists of 1% and 10% of ImageNet's training images of
            SimCLRv2 (arXiv 2006.10029) have them.

    Returns:
        The samples that are listed, each once for each time it is in
        ``samples``, in their order there.

    Raises:
        ValueError: The list is empty, or a name fits no sample or several.
    """
    wanted = dict.fromkeys(line for _, line in _lines(path))
    if not wanted:
        raise ValueError(f'{path} lists no image; write one file name a '
                         'line, or change subset.')
    found = _find(wanted, samples)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ValueError(
            f'{len(missing)} of the {len(wanted)} images in {path} are not '
            f'in the data set, the first: {quoted(missing[:3])}; check '
            'subset, data_root and data_prefix.')
    for name, paths in found.items():
        if len(paths) > 1:
            raise ValueError(
                f'{path}: "{name}" is the name of {len(paths)} images, '
                f'{quoted(sorted(paths), 3)}; write it with its folder.')
    kept = set().union(*found.values())
    return [sample for sample in samples if sample[0] in kept]
