"""Components of patch tokens as colors."""

import torch

from ibot_mm.visualization.pca import color_patches, fit_colors

C = 8


def image(direction):
    """6 x 6 tokens: an object of 4 x 4 that varies in one direction."""
    grid = torch.zeros(6, 6, C)
    grid[1:5, 1:5, 0] = 10
    grid[1:5, 1:5, direction] = torch.linspace(-2, 2, 4)
    return grid + 0.001 * torch.randn(6, 6, C)


def test_an_object_and_its_parts():
    """The first component is the object; the colors are its variation."""
    torch.manual_seed(0)
    grids = [image(2), image(5)]
    basis = fit_colors(grids)
    assert abs(basis.first[0]) > 0.99
    picture = color_patches(grids[0], basis, (12, 18))
    assert picture.shape == (12, 18, 3)
    inside = picture[2:10, 3:15].astype(int)
    assert (picture[:2] == 0).all() and (picture[:, :3] == 0).all()
    # Along the columns, one component runs over the whole range.
    assert (abs(inside[:, 0] - inside[:, -1]).max(-1) > 250).all()
    # The same basis, so the other image's component is another one.
    other = color_patches(grids[1], basis, (12, 18))[2:10, 3:15].astype(int)
    first, second = (abs(x[0, 0] - x[0, -1]).argmax() for x in (
        inside, other))
    assert first != second
    shown = color_patches(grids[0], basis, (6, 6), background=True)
    assert shown[0, 0].any()


def test_colors_do_not_depend_on_the_sign_of_vectors():
    torch.manual_seed(0)
    grids = [image(2), image(5)]
    first, second = fit_colors(grids), fit_colors(grids[::-1])
    torch.testing.assert_close(first.colors[:, :2], second.colors[:, :2],
                               atol=1e-3, rtol=0)
