"""Image lists from class folders and from text files."""

import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .dataset_errors import quoted


def find_class_folders(root: str) -> list[str]:
    """Sorted names of the folders in ``root`` that are not hidden."""
    with os.scandir(root) as entries:
        return sorted(entry.name for entry in entries
                      if entry.is_dir() and not entry.name.startswith('.'))


def list_images(folder: str,
                extensions: tuple[str, ...],
                prefix: str = '',
                others: Counter[str] | None = None) -> Iterator[str]:
    """List the images in a folder recursively.

    Uses ``os.scandir``, which needs no ``stat`` per file on most file
    systems.

    Args:
        folder: Folder to search.
        extensions: Lower-case file name extensions of images.
        prefix: Prepended to every path.
        others: Counts the other files by extension.

    Yields:
        Paths relative to ``folder``, with '/' as separator, unordered.
        Hidden files are skipped.

    Raises:
        ValueError: A folder contains a link to itself.
    """
    below = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith('.'):
                continue
            if entry.is_dir():
                if entry.is_symlink() and Path(folder).resolve(
                ).is_relative_to(Path(entry.path).resolve()):
                    raise ValueError(
                        f'"{entry.path}" links to a folder that contains it; '
                        'remove the link.')
                below.append(entry.name)
            elif entry.name.lower().endswith(extensions):
                yield prefix + entry.name
            elif others is not None:
                others[os.path.splitext(entry.name)[1].lower()] += 1
    for name in below:
        yield from list_images(
            os.path.join(folder, name), extensions, f'{prefix}{name}/',
            others)


Samples = list[tuple[str, int]]


def _lines(path: str) -> Iterator[tuple[int, str]]:
    """Numbers and stripped contents of the lines that are not blank."""
    with open(path, encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, line.strip()


def _label(text: str, num_classes: int | None) -> int:
    """Parse a label; the caller adds file and line to the error."""
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


def read_names(path: str) -> list[str]:
    """Read a list file with a path per line; blank lines are skipped."""
    return [line for _, line in _lines(path)]


def read_labels(path: str, num_classes: int | None = None) -> Samples:
    """Read a list file with ``path label`` per line.

    Args:
        path: List file; blank lines are skipped.
        num_classes: Exclusive upper bound of the labels; None for no bound.

    Returns:
        Paths and labels, in order.

    Raises:
        ValueError: A label is missing or invalid, or the file is empty.
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
        raise ValueError(f'{path} lists no images; write one "path label" '
                         'per line, or change ann_file.')
    return samples


def split_samples(samples: Samples, share: float,
                  seed: int) -> tuple[Samples, Samples]:
    """Split samples at random, each class on its own.

    Args:
        samples: Paths and labels.
        share: Part of each class in the second list, between 0 and 1; it is
            rounded, but at least one image of each class is in each list. A
            single image is in the first.
        seed: The same seed and samples give the same lists.

    Returns:
        Two lists without common samples, sorted by label.
    """
    classes: dict[int, list[str]] = {}
    for path, label in sorted(samples):
        classes.setdefault(label, []).append(path)
    lists: tuple[Samples, Samples] = ([], [])
    rng = random.Random(seed)
    for label, paths in sorted(classes.items()):
        rng.shuffle(paths)
        count = min(max(round(share * len(paths)), 1), len(paths) - 1)
        for part, kept in zip(lists, (paths[count:], paths[:count])):
            part += [(path, label) for path in sorted(kept)]
    return lists


def _find(wanted: dict[str, None], samples: Samples) -> dict[str, set[str]]:
    """Paths of the samples by listed name, with or without folder."""
    found: dict[str, set[str]] = {}
    for path, _ in samples:
        for name in (path, path.rpartition('/')[2]):
            if name in wanted:
                found.setdefault(name, set()).add(path)
    return found


def keep_subset(samples: Samples, path: str) -> Samples:
    """Keep the samples whose names are listed in a file.

    Args:
        samples: Paths and labels.
        path: List of file names, one per line, with or without folders, as in
            the lists of 1% and 10% of ImageNet's training images of SimCLRv2
            (arXiv 2006.10029).

    Returns:
        The listed samples, in the order of ``samples``.

    Raises:
        ValueError: The list is empty, or a name matches no sample or several.
    """
    wanted = dict.fromkeys(read_names(path))
    if not wanted:
        raise ValueError(f'{path} lists no images; write one file name per '
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


def evenly_spaced(total: int, count: int) -> list[int]:
    """At most ``count`` indices below ``total``, at equal distances."""
    return np.linspace(
        0, total - 1, min(count, total)).round().astype(int).tolist()
