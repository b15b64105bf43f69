"""Verdicts and curves of work directories with logs made by hand."""

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from tests.helpers.health import log_line, write_log
from tests.helpers.in_process import run_tool

TOOL = 'visualization/plot_health.py'
COLUMNS, ROWS = 7, 2
ENTROPY_CLS, LOSS_PATCH, KL_CLS = (0, 2), (1, 0), (0, 3)


def panel(picture, place):
    """Pixels inside the axes of a panel, without its title."""
    height, width = picture.shape[0] / ROWS, picture.shape[1] / COLUMNS
    row, column = place
    return picture[int((row + 0.15) * height):int((row + 0.85) * height),
                   int((column + 0.15) * width):int((column + 0.95) * width)]


def pixels(area, color):
    rgb = np.round(np.multiply(to_rgb(color), 255))
    return (np.abs(area[..., ::-1] - rgb).max(-1) < 8).sum()


def draw(tmp_path, lines):
    work_dir = write_log(tmp_path / 'run', lines)
    out = run_tool(TOOL, work_dir, '--out', tmp_path / 'health.png').out
    assert f'wrote {tmp_path / "health.png"}' in out
    return cv2.imread(str(tmp_path / 'health.png'))


def test_a_single_value_is_drawn(tmp_path):
    picture = draw(tmp_path, [log_line(50)])
    assert 5 < pixels(panel(picture, LOSS_PATCH), 'C0') < 100
    # A dashed line at log K is there too, across the panel.
    area = panel(picture, ENTROPY_CLS)
    rows = [pixels(row[None], 'gray') for row in area]
    assert max(rows) > 0.4 * area.shape[1]


def test_healthy_ranges_are_shaded(tmp_path):
    picture = draw(tmp_path, [log_line(50), log_line(100, cls=0.8)])
    shade = tuple(1 - 0.06 * (1 - x) for x in to_rgb('green'))
    shaded = [pixels(panel(picture, place), shade)
              / panel(picture, place).size * 3
              for place in (ENTROPY_CLS, LOSS_PATCH)]
    assert shaded[0] > 0.7 and shaded[1] == 0


def test_verdicts_need_no_picture(tmp_path):
    good = write_log(tmp_path / 'good', [
        log_line(i) for i in range(50, 1001, 50)])
    bad = write_log(tmp_path / 'bad', [
        log_line(i, cls=1.) for i in range(50, 1001, 50)])
    out = run_tool(TOOL, good, bad).out.splitlines()
    assert len(out) == 2
    assert out[0].startswith('good: healthy: ')
    assert out[1].startswith('bad: collapsed to uniform: ')
    assert not list(tmp_path.glob('*.png'))
    out = run_tool(TOOL, bad, '--labels', 'mine').out
    assert out.startswith('mine: collapsed')


@pytest.mark.parametrize('content', [None, dict(loss=1., iter=1)])
def test_folders_without_a_pre_training(tmp_path, content):
    if content:
        write_log(tmp_path, [content])
    with pytest.raises(FileNotFoundError, match=f'"{tmp_path}"'):
        run_tool(TOOL, tmp_path)
