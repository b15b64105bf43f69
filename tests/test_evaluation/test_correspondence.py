"""Matching patches of two views."""

import random

import numpy as np
import pytest
import torch

from ibot_mm.evaluation.correspondence import (
    View,
    best_matches,
    count_correct,
    patch_centers,
    random_view,
    true_partners,
)

IMAGE = np.zeros((8, 8, 3), np.uint8)
WHOLE = View(IMAGE, (0, 0, 1, 1), False)
# The left half of the image, from its middle down; left and right exchanged.
CORNER = View(IMAGE, (0.5, 0, 0.5, 0.5), True)


def test_centers_by_hand():
    rows, columns = patch_centers(CORNER, 2)
    assert rows.tolist() == [0.625, 0.875]
    assert columns.tolist() == [0.375, 0.125]


def test_partners_by_hand():
    """Of 2 x 2 patches the whole image has centers at 0.25 and 0.75.

    The corner's centers are at rows 0.625 to 0.875, columns 0.125 to 0.375.
    Half a patch of the image, 0.25, widens that to all patches but the right
    ones.
    """
    partners, shared = true_partners(CORNER, WHOLE, 2)
    assert shared.all()
    assert partners.tolist() == [[[1, 0]] * 2] * 2
    partners, shared = true_partners(WHOLE, CORNER, 2)
    # 0.25 is below 0.625 - 0.25; 0.75 is right of 0.375 + 0.25.
    assert shared.tolist() == [[False, False], [True, False]]
    # |0.75 - 0.625| = |0.75 - 0.875|: the first; |0.25 - 0.375| likewise.
    assert partners[1, 0].tolist() == [0, 0]


def test_images_of_one_channel():
    """A flipped view keeps its axis: left and right are exchanged."""
    image = np.arange(16, dtype=np.uint16).reshape(4, 4, 1)
    rng = random.Random(0)
    views = [random_view(image, 4, rng, (1., 1.), color=False)
             for _ in range(9)]
    assert {view.flipped for view in views} == {True, False}
    for view in views:
        assert view.image.shape == (4, 4, 1)
        row = view.image[0, :, 0].tolist()
        assert row == sorted(row, reverse=view.flipped)


def test_nearest_in_both_dimensions():
    """Against all distances in the image, where views of all kinds cross."""
    rng, rows = random.Random(0), 5
    image = np.zeros((70, 50, 3), np.uint8)
    for _ in range(20):
        views = [random_view(image, 40, rng, color=False) for _ in range(2)]
        points = [torch.cartesian_prod(*patch_centers(view, rows))
                  for view in views]
        partners, _ = true_partners(*views, rows)
        index = (partners[..., 0] * rows + partners[..., 1]).flatten()
        distances = torch.cdist(*points)
        torch.testing.assert_close(
            distances.gather(1, index[:, None])[:, 0], distances.amin(1))


def test_geometry_of_views():
    """Pixels that hold their position show where each view comes from."""
    height, width, size = 120, 200, 64
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.arange(height)[:, None]
    image[..., 1] = np.arange(width)
    rng = random.Random(0)
    flips = set()
    for _ in range(10):
        view = random_view(image, size, rng, color=False)
        flips.add(view.flipped)
        rows, columns = patch_centers(view, size)
        # Away from the borders, where the resize smooths.
        inside = slice(2, -2)
        assert np.abs(view.image[inside, inside, 0] - (
            rows.numpy()[inside, None] * height - 0.5)).max() < 1.1
        assert np.abs(view.image[inside, inside, 1] - (
            columns.numpy()[inside] * width - 0.5)).max() < 1.1
    assert flips == {True, False}


def test_identical_views_and_random_features():
    torch.manual_seed(0)
    rows = 6
    partners, shared = true_partners(CORNER, CORNER, rows)
    tokens = torch.nn.functional.normalize(torch.randn(rows, rows, 8), dim=-1)
    assert count_correct(best_matches(tokens, tokens), partners, shared) == (
        36, pytest.approx(1), 36)
    correct = sum(count_correct(best_matches(
        torch.randn(rows, rows, 8), torch.randn(rows, rows, 8)),
        partners, shared)[0] for _ in range(400))
    # 400 * 36 trials with probability 1 / 36.
    assert abs(correct - 400) < 4 * 400**0.5


def test_radius():
    """Of 3 x 3 patches, 4 are within 1 of a corner, 9 of the center."""
    partners = torch.zeros(3, 3, 2, dtype=torch.int64)
    partners[1, 1] = 1
    partners[2, 2] = 2
    matches = partners.clone()
    matches[1, 1, 0] = 0  # misses by 1
    matches[2, 2, 1] = 0  # misses by 2
    shared = torch.eye(3, dtype=torch.bool)
    assert count_correct(matches, partners, shared) == (
        1, pytest.approx(3 / 9), 3)
    assert count_correct(matches, partners, shared, 1) == (
        2, pytest.approx(4 / 9 + 9 / 9 + 4 / 9), 3)
