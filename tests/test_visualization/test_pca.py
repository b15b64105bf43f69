"""Components of patch tokens as colors."""

import numpy as np
import torch

from ibot_mm.visualization.pca import (
    color_patches,
    fit_colors,
    match_colors,
    recolored,
)

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


def test_colors_of_all_patches():
    """NumPy's singular vectors of the centered tokens, but for the sign."""
    torch.manual_seed(0)
    grids = [torch.randn(5, 4, C) * torch.arange(1, C + 1) for _ in range(2)]
    tokens = torch.cat([grid.flatten(0, 1) for grid in grids]).double()
    wanted = np.linalg.svd((tokens - tokens.mean(0)).numpy())[2][:3]
    found = fit_colors(grids, foreground=False).colors.T.numpy()
    np.testing.assert_allclose(abs((found * wanted).sum(1)), 1)


def test_order_and_signs_follow_the_picture_before():
    previous = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    changed = previous[..., [2, 0, 1]].copy()
    changed[..., 1] = 255 - changed[..., 1]
    found = recolored(changed, *match_colors(changed, previous))
    assert (found == previous).all()
    flat = np.full_like(previous, 7)
    assert (recolored(flat, *match_colors(flat, previous)) == 7).all()
