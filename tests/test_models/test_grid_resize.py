"""Interpolation of a grid in traceable operations."""

import pytest
import torch
import torch.nn.functional as F

from ibot_mm.models.layers.grid_resize import GridResize


@pytest.mark.parametrize('offset, antialias', [
    (0., False), (0.1, False), (0., True)])
@pytest.mark.parametrize('target', [3, 5, 9, 14])
def test_positions_are_resized_as_pytorch_does(target, offset, antialias):
    unit = torch.eye(5).view(1, 5, 5, 1).repeat(1, 1, 1, 4)
    size = dict(scale_factor=((target + offset) / 5, 1.)) if offset else dict(
        size=(target, 4))
    expected = F.interpolate(unit, **size, mode='bicubic',
                             antialias=antialias)
    found = GridResize(5, antialias)(torch.tensor(target),
                                     torch.tensor(offset))
    torch.testing.assert_close(found, expected[0, ..., 0].T, atol=2e-6,
                               rtol=0)
