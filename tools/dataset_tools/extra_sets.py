"""Extra test sets of ``make_shapes.py --extra``, by name.

Each is written by a function of the folder and the seed.
"""

from collections.abc import Callable
from pathlib import Path

from shapes_backgrounds import write_backgrounds
from shapes_corruptions import write_corruptions
from shapes_shifts import write_hard, write_new, write_renditions

EXTRA_SETS: dict[str, Callable[[Path, int], None]] = {
    'backgrounds': write_backgrounds,
    'corruptions': write_corruptions,
    'imagenet-a': write_hard,
    'imagenet-r': write_renditions,
    'imagenet-v2': write_new,
}
