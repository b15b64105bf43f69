"""Pictures of attention."""

import cv2
import numpy as np
import torch

from ibot_mm.visualization.attention import (
    COLORS,
    attention_row,
    heat_map,
    jaccard,
    mass_mask,
    overlay,
)

# Of 1, sorted: 0.4, 0.3, 0.2, 0.1.
GRID = torch.tensor([[0.1, 0.4], [0.3, 0.2]])


def test_the_fewest_patches_that_hold_the_mass():
    """0.4 + 0.3 hold 60 %; 0.4 holds 30 %; all hold 100 %."""
    grids = torch.stack([GRID, 2 * GRID.flip(0)])
    assert mass_mask(grids).tolist() == [
        [[False, True], [True, False]], [[True, False], [False, True]]]
    assert mass_mask(GRID, 0.3).tolist() == [[False, True], [False, False]]
    assert mass_mask(GRID, 1).all()


def test_pixels_have_the_color_of_the_strongest_head():
    """Head 0 at its two strongest patches, head 1 at one that is its own."""
    image = np.full((4, 4, 3), 128, np.uint8)
    other = torch.tensor([[1., 0.], [0., 0.]])
    picture = overlay(image, torch.stack([GRID, other]))
    # A uniform image is at the lower end, 192, of which a tenth is left.
    assert picture[3, 3].tolist() == [19, 19, 19]
    assert picture[0, 3].tolist() == COLORS[0].tolist()
    assert picture[1, 1].tolist() == COLORS[1].tolist()
    # 0.3 / 0.4 of head 0's maximum.
    alpha = np.sqrt(0.75)
    wanted = alpha * COLORS[0] + (1 - alpha) * 19.2
    np.testing.assert_allclose(picture[2, 0], wanted, atol=0.51)


def test_heat_map_has_no_smoothing():
    picture = heat_map(GRID.numpy(), (4, 4))
    ends = cv2.applyColorMap(np.array([[0, 255]], np.uint8),
                             cv2.COLORMAP_VIRIDIS)[0]
    assert (picture[:2, :2] == ends[0]).all()
    assert (picture[:2, 2:] == ends[1]).all()
    assert not np.isnan(heat_map(np.ones((2, 2)), (4, 4))).any()


def test_a_row_has_all_heads():
    image = np.zeros((16, 24, 3), np.uint8)
    attention = torch.rand(12, 2, 3)
    assert attention_row(image, attention).shape == (16, 24 * 14, 3)
    assert attention_row(image, attention, outlines=True).shape == (
        16, 24 * 15, 3)


def test_jaccard():
    """The mask of 60 % is the top right and the bottom left patch."""
    labels = np.array([[0, 0, 7, 3],
                       [0, 0, 7, 3],
                       [0, 0, 0, 3],
                       [0, 0, 0, 255]])
    grids = torch.stack([GRID, torch.tensor([[1., 0], [0, 0]])])
    # 4 of the object's 5 pixels; 4 + 4 in the mask.
    assert jaccard(grids, labels).tolist() == [4 / 9, 0]
    assert jaccard(grids, labels, classes=[7]).tolist() == [2 / 8, 0]
    # The mask of 100 % has all pixels but that of label 255.
    assert jaccard(grids[:1], labels, 1.).tolist() == [5 / 15]
