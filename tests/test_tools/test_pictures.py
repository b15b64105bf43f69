"""Tools that draw what a network has learned."""

import re

import cv2
import numpy as np
import pytest
import torch

from ibot_mm.models import IBOTSwin
from tests.helpers.builders import ARCH, build_model
from tests.helpers.in_process import run_tool

HEADS = ARCH['num_heads']


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    model = build_model()
    path = tmp_path_factory.mktemp('network') / 'epoch_1.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return path


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """Colors, gray, 16 bits, large; one that is damaged."""
    folder = tmp_path_factory.mktemp('photos')
    rng = np.random.default_rng(0)
    for name, shape, dtype in (('color.png', (50, 90, 3), np.uint8),
                               ('gray.png', (60, 40), np.uint8),
                               ('deep.png', (30, 30, 3), np.uint16),
                               ('large.jpg', (1500, 2000, 3), np.uint8)):
        values = rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype)
        cv2.imwrite(str(folder / name), values)
    (folder / 'damaged.png').write_bytes(
        (folder / 'color.png').read_bytes()[:500])
    return folder


def run(tool, checkpoint, *args, code=0):
    return run_tool(f'visualization/{tool}', checkpoint, *args,
                    '--num-heads', HEADS, '--device', 'cpu', code=code)


@pytest.mark.parametrize('tool, columns', [
    ('attention_maps.py', 2 + HEADS), ('pca.py', 2)])
def test_a_folder(checkpoint, photos, tmp_path, tool, columns):
    output = run(tool, checkpoint, photos, '--out', tmp_path, '--size', 96)
    assert str(tmp_path / 'index.html') in output.out
    assert 'damaged.png' in output.out + output.err
    # Longer sides of 96, both sides multiples of 8.
    sizes = dict(color=(56, 96), gray=(96, 64), deep=(96, 96),
                 large=(72, 96))
    for name, (height, width) in sizes.items():
        picture = cv2.imread(str(tmp_path / f'{name}.png'))
        assert picture.shape == (height, columns * width, 3)
    page = (tmp_path / 'index.html').read_text()
    assert sorted(re.findall('src="(.*?)"', page)) == sorted(
        f'{name}.png' for name in sizes)


def test_chosen_images(checkpoint, photos, tmp_path):
    """Single files, and a limit with a seed."""
    for folder in ('a', 'b'):
        run('pca.py', checkpoint, photos / 'color.png', photos / 'gray.png',
            photos / 'deep.png', '--limit', 2, '--seed', 1, '--size', 48,
            '--out', tmp_path / folder)
    first, second = (
        sorted(path.name for path in (tmp_path / folder).iterdir())
        for folder in ('a', 'b'))
    assert first == second and len(first) == 3


@pytest.mark.parametrize('tool, axis', [('attention_maps.py', 0),
                                        ('pca.py', 1)])
def test_beside_the_untrained_network(checkpoint, photos, tmp_path, tool,
                                      axis):
    """The trained one first, as without it; then another one."""
    found = []
    for folder, options in (('a', ()), ('b', ['--untrained'])):
        output = run(tool, checkpoint, photos / 'color.png', '--size', 96,
                     '--out', tmp_path / folder, *options)
        found.append(cv2.imread(str(tmp_path / folder / 'color.png')))
    trained, both = found
    assert 'init_weights' not in output.out  # a line for each parameter
    length = trained.shape[axis]
    first, second = np.split(both, [length], axis)
    assert (first == trained).all()
    drawn = np.split(trained, [96], 1)[1]  # without the image
    other = second if axis else np.split(second, [96], 1)[1]
    assert other.shape == drawn.shape and (other != drawn).any()


def test_a_film(checkpoint, tmp_path):
    """Frames of a folder, then the film that was made of them."""
    frames = tmp_path / 'frames'
    frames.mkdir()
    for i in range(5):
        cv2.imwrite(str(frames / f'{i}.png'),
                    np.full((48, 64, 3), 40 * i, np.uint8))
    run('attention_maps.py', checkpoint, frames, '--video', '--fps', 5,
        '--size', 64, '--out', tmp_path)
    film = tmp_path / 'attention.mp4'
    run('attention_maps.py', checkpoint, film, '--video', '--size', 64,
        '--out', tmp_path / 'again')
    for path in (film, tmp_path / 'again' / 'attention.mp4'):
        video = cv2.VideoCapture(str(path))
        assert video.get(cv2.CAP_PROP_FPS) == 5
        assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 5
        assert video.read()[1].shape == (48, 64, 3)


def test_bad_input(checkpoint, photos, tmp_path):
    (tmp_path / 'none').mkdir()
    for images, words in ((photos / 'damaged.png', 'none of 1'),
                          (tmp_path / 'none', 'none'),
                          (tmp_path / 'nowhere', 'nowhere')):
        with pytest.raises((ValueError, FileNotFoundError), match=words):
            run('pca.py', checkpoint, images, '--out', tmp_path)
    run('attention_maps.py', checkpoint, photos, '--out', tmp_path,
        '--video', '--untrained', code=2)
    swin = IBOTSwin(arch=dict(embed_dims=8, depths=[1, 1, 1, 1],
                              num_heads=[1, 1, 1, 1]))
    torch.save(dict(state_dict=swin.state_dict()), tmp_path / 'swin.pth')
    with pytest.raises(ValueError, match='IBOTSwin has no CLS token'):
        run_tool('visualization/attention_maps.py', tmp_path / 'swin.pth',
                 photos, '--size', 224, '--out', tmp_path)
