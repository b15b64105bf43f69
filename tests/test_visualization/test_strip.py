"""A picture that grows by rows."""

import numpy as np
import pytest
from PIL import Image

from ibot_mm.visualization.strip import SIDE, Strip


def row(value, width=20):
    return np.full((SIDE, width, 3), (value, 0, 255), np.uint8)


def values(path):
    """Blue of each row; PIL reads RGB."""
    with Image.open(path) as file:
        pixels = np.asarray(file)
    assert (pixels[..., 0] == 255).all()
    return pixels[::SIDE, 0, 2].tolist()


def test_rows_of_the_part_that_is_resumed_are_kept(tmp_path):
    path = tmp_path / 'pictures' / 'strip.png'
    strip = Strip(path, 0)
    for iteration, value in ((10, 1), (20, 2), (30, 3)):
        strip.add(iteration, row(value), row(99))
    assert values(path) == [99, 1, 2, 3]
    resumed = Strip(path, 25)
    assert list(resumed.rows) == [10, 20]
    resumed.add(30, row(4), row(99))
    assert values(path) == [99, 1, 2, 4]
    assert [file.name for file in path.parent.iterdir()] == ['strip.png']
    Strip(path, 0).add(10, row(5), row(98))
    assert values(path) == [98, 5]


def test_another_number_of_images(tmp_path):
    path = tmp_path / 'strip.png'
    strip = Strip(path, 0)
    assert strip.last(20) is None
    strip.add(10, row(1), row(99))
    assert (strip.last(20) == row(1)).all()
    with pytest.raises(ValueError, match=r'strip\.png'):
        Strip(path, 10).last(30)
