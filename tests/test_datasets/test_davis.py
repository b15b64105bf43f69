"""Videos in the layout of DAVIS."""

import numpy as np
import pytest
from PIL import Image

from ibot_mm.datasets import DAVIS, ResizeShortSide
from ibot_mm.datasets.davis import read_mask


def write(root, frames=3, masks=3, names=('bear', 'cow')):
    (root / 'ImageSets/2017').mkdir(parents=True)
    (root / 'ImageSets/2017/val.txt').write_text('\n'.join(names) + '\n')
    for name in names:
        for folder, ending, count, mode in (('JPEGImages', 'jpg', frames,
                                             'RGB'),
                                            ('Annotations', 'png', masks,
                                             'P')):
            path = root / folder / '480p' / name
            path.mkdir(parents=True)
            for i in range(count):
                Image.new(mode, (20, 10)).save(path / f'{i:05d}.{ending}')
    return str(root)


def test_a_sample_is_a_video(tmp_path):
    dataset = DAVIS(write(tmp_path), pipeline=[
        dict(type='ibot_mm.LoadImage'),
        dict(type='ibot_mm.ResizeShortSide', short_side=16, divisor=16),
        dict(type='mmpretrain.PackInputs')])
    assert [dataset.get_data_info(i)['name'] for i in range(2)] == [
        'bear', 'cow']
    cow = dataset.get_data_info(1)
    assert [path.removeprefix(str(tmp_path)) for path in cow['masks']] == [
        f'/Annotations/480p/cow/0000{i}.png' for i in range(3)]
    assert dataset.read_frame(cow['frames'][0]).shape == (3, 16, 32)


@pytest.mark.parametrize('size, expected', [
    ((480, 854), (480, 832)),  # most videos of DAVIS
    ((1080, 1920), (480, 832)),
    ((854, 480), (832, 480)),
    ((480, 480), (480, 448)),  # as the official script
])
def test_sides_of_the_frames(size, expected):
    frame = dict(img=np.zeros((*size, 3), np.uint8))
    assert ResizeShortSide()(frame)['img'].shape == (*expected, 3)


def test_masks_are_indices(tmp_path):
    """Not the colors, of which number 1 is dark and 2 is bright."""
    image = Image.fromarray(np.uint8([[0, 1], [2, 255]]))
    image.putpalette([0, 0, 0, 128, 0, 0] + [250] * 762)
    image.save(tmp_path / 'mask.png')
    labels, palette = read_mask(str(tmp_path / 'mask.png'))
    assert labels.tolist() == [[0, 1], [2, 255]]
    assert palette[3:6] == [128, 0, 0]
    image.convert('RGB').save(tmp_path / 'mask.png')
    with pytest.raises(ValueError, match='mask.png.*RGB'):
        read_mask(str(tmp_path / 'mask.png'))


@pytest.mark.parametrize('content, changes, error, match', [
    ({}, dict(ann_file='ImageSets/2017/train.txt'), FileNotFoundError,
     'train.txt'),
    (dict(masks=2), {}, ValueError, 'bear.*annotation "00002"'),
    (dict(frames=4, masks=5), {}, ValueError, 'bear.*frame "00004"'),
    (dict(frames=2, masks=2), {}, ValueError, 'bear.*2 frames'),
    (dict(names=()), {}, ValueError, 'val.txt'),
])
def test_bad_layouts_are_named(tmp_path, content, changes, error, match):
    with pytest.raises(error, match=match):
        DAVIS(write(tmp_path, **content), **changes)


def test_a_video_without_a_folder_is_named(tmp_path):
    root = write(tmp_path)
    (tmp_path / 'ImageSets/2017/val.txt').write_text('bear\nox\n')
    with pytest.raises(FileNotFoundError, match='ox'):
        DAVIS(root)
