"""Extra test sets of ``make_shapes.py --extra``, by name.

Each is written by a function of the folder and the seed.
"""

from collections.abc import Callable
from pathlib import Path

from shapes_backgrounds import write_backgrounds
from shapes_copydays import write_copydays
from shapes_corruptions import write_corruptions
from shapes_retrieval import write_retrieval
from shapes_shifts import write_hard, write_new, write_renditions
from shapes_video import write_video

EXTRA_SETS: dict[str, Callable[[Path, int], None]] = {
    'backgrounds': write_backgrounds,
    'copydays': write_copydays,
    'corruptions': write_corruptions,
    'davis': write_video,
    'imagenet-a': write_hard,
    'imagenet-r': write_renditions,
    'imagenet-v2': write_new,
    'retrieval': write_retrieval,
}
