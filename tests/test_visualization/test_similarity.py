"""Where the features of patches are alike: values worked by hand."""

import cv2
import numpy as np
import pytest
import torch

from ibot_mm.visualization.similarity import (
    cosine_map,
    framed,
    nearest_images,
    patch_at,
    similarity_picture,
)


def test_cosines():
    tokens = torch.tensor([[[3., 4], [8, 6]], [[-3, -4], [-4, 3]]])
    expected = torch.tensor([[1, 0.96], [-1, 0]])  # 0.6 * 0.8 + 0.8 * 0.6
    for dtype in (torch.float32, torch.half):
        torch.testing.assert_close(
            cosine_map(tokens.to(dtype), torch.tensor([6., 8])), expected)


@pytest.mark.parametrize('chunk', [1, 2, 256])
def test_nearest_images(chunk):
    """By the best patch, not by the mean."""
    east, north, both = [1., 0], [0., 1], [1., 1]
    tokens = torch.tensor([[[north, both]], [[both, both]],
                           [[east, north]]]).half()
    tokens[1] *= 100  # the length of a token does not matter
    found = nearest_images(tokens, torch.tensor([2., 0]), 2, chunk)
    assert [i for i, _ in found][0] == 2
    torch.testing.assert_close(found[0][1], torch.tensor([[1., 0]]))
    assert len(found) == 2 and float(found[1][1].max()) == pytest.approx(
        0.5**0.5, abs=1e-3)
    assert len(nearest_images(tokens, torch.tensor([2., 0]), 9)) == 3


def test_patch_at_a_point():
    assert patch_at((0, 0), (4, 6)) == (0, 0)
    assert patch_at((0.49, 0.51), (4, 6)) == (1, 3)
    assert patch_at((1, 1), (4, 6)) == (3, 5)  # the last pixel


def test_frame():
    picture = np.full((40, 60, 3), 128, np.uint8)
    drawn = framed(picture, (1, 2), (4, 6))
    assert (picture == 128).all()
    # Rows 10 to 19 and columns 20 to 29, within a black line.
    white = np.argwhere((drawn == 255).all(2))
    assert white.min(0).tolist() == [10, 20]
    assert white.max(0).tolist() == [19, 29]
    assert (drawn[9, 22:28] == 0).all() and (drawn[13:17, 24] == 128).all()


def test_colors_of_similarity():
    """Without the image, those of OpenCV's map between the limits."""
    image = np.zeros((4, 8, 3), np.uint8)
    similarity = torch.tensor([[-1., 0.2, 0.6, 1]])
    drawn = similarity_picture(image, similarity, low=0.2, opacity=1)
    scale = np.array([[0, 0, 128, 255]], np.uint8)
    expected = cv2.applyColorMap(scale, cv2.COLORMAP_VIRIDIS)
    np.testing.assert_array_equal(
        drawn, expected.repeat(4, 0).repeat(2, 1))
    image[:] = (0, 0, 200)  # gray below: 0.299 * 200
    drawn = similarity_picture(image, similarity, low=0.2, opacity=0)
    assert (drawn == 60).all()
