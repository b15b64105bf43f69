"""The shapes data set."""

from collections.abc import Sequence
from pathlib import Path

from .in_process import import_tool


def write_shapes(out: Path, train: int, val: int,
                 layouts: Sequence[str] = ('imagenet', )) -> Path:
    """Write the data set as its tool does, but without processes."""
    tool = import_tool('dataset_tools/make_shapes.py')
    tool.make_folders(out, tool.MAX_CLASSES, layouts)
    for split, count in enumerate((train, val)):
        scenes = [tool.write_scene(i, out, 0, split, tool.MAX_CLASSES, layouts)
                  for i in range(count)]
        tool.write_lists(out, split, scenes, tool.MAX_CLASSES, layouts)
    return out
