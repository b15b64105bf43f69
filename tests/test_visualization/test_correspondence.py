"""Pictures of matching patches."""

import numpy as np
import torch

from ibot_mm.visualization.correspondence import draw_matches, most_attended


def test_most_attended_patches():
    attention = torch.tensor([[[0.1, 0.4], [0.3, 0.2]],
                              [[0.1, 0.0], [0.3, 0.3]]])
    assert most_attended(attention, 2).tolist() == [[1, 0], [1, 1]]
    allowed = torch.tensor([[True, True], [False, False]])
    assert most_attended(attention, 12, allowed).tolist() == [[0, 1], [0, 0]]


def test_lines_join_the_centers():
    black = np.zeros((16, 16, 3), np.uint8)
    matches = torch.tensor([[[0, 0], [1, 1]], [[0, 0], [0, 0]]])
    picture = draw_matches(black, black, torch.tensor([[0, 1]]), matches, 8)
    assert picture.shape == (16, 32, 3)
    # From row 4, column 12 to row 12, column 12 of the second, in red.
    for row, column in ((4, 12), (8, 20), (12, 28)):
        blue, green, red = picture[row, column].tolist()
        assert blue == green == 0 and red > 200  # smoothed
    assert not picture[12:, :8].any()
