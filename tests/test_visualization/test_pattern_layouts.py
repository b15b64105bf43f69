"""Layouts of prototypes."""

import numpy as np
import pytest

from ibot_mm.visualization.pattern_layouts import (
    best_tokens,
    layout,
    overall_purity,
    patch_in_context,
    purity,
    rank_prototypes,
)

# 3 images of 4 tokens.
PROTOTYPES = np.array([[5, 5, 2, 2], [5, 5, 5, 9], [2, 9, 9, 9]])
# Those of prototype 2 are negative: no other token may take their place.
LOGITS = np.array([[.1, .7, -3, -2], [.9, .2, .3, .5], [-1, .4, .6, .5]])


def test_ranking():
    assert rank_prototypes(PROTOTYPES) == [(5, 5), (9, 4), (2, 3)]


def test_one_token_per_image_the_best_first():
    assert best_tokens(LOGITS, PROTOTYPES, 5, 36) == [(1, 0), (0, 1)]
    assert best_tokens(LOGITS, PROTOTYPES, 9, 36) == [(2, 2), (1, 3)]
    assert best_tokens(LOGITS, PROTOTYPES, 2, 36) == [(2, 0), (0, 3)]
    assert best_tokens(LOGITS, PROTOTYPES, 5, 1) == [(1, 0)]


def test_purity():
    assert purity(['a', 'b', 'b']) == ('b', pytest.approx(2 / 3))
    # Prototype 5: 3 of b; 9: 3 of a; 2: 2 + 1 of a.
    assert overall_purity(PROTOTYPES, ['a', 'b', 'a']) == 9 / 12


def test_context_is_black_outside_and_the_center_tinted():
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3) + 100
    picture = patch_in_context(image, 1, 2, 2, window=3)
    assert picture.shape == (6, 6, 3)
    # Rows 0 to 3 of the image and two below; columns 2 to 5 and two right.
    assert not picture[4:].any() and not picture[:, 4:].any()
    np.testing.assert_array_equal(picture[:2, :4], image[:2, 2:])
    np.testing.assert_array_equal(picture[2:4, :2], image[2:, 2:4])
    np.testing.assert_allclose(picture[2:4, 2:4], (
        image[2:, 4:].astype(float) + [0, 100, 200]) / 2, atol=0.5)


def test_grid():
    pictures = [np.full((side, side, 3), value, np.uint8)
                for side, value in ((2, 10), (8, 20), (4, 30))]
    grid = layout(pictures, 2, 4)
    assert grid.shape == (8, 8, 3)
    assert [int(grid[r, c, 0]) for r, c in (
        (0, 0), (0, 7), (7, 0), (7, 7))] == [10, 20, 30, 0]
