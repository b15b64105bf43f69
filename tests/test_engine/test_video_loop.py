"""Masks propagated through small videos, and what is written and scored."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from ibot_mm.datasets import DAVIS
from ibot_mm.engine import VideoSegmentationTestLoop
from ibot_mm.evaluation.video import score_frame
from tests.helpers.in_process import import_tool

PATCH = 8
PROTOCOL = dict(type='ibot_mm.LabelPropagation')


class Colors(nn.Module):
    """Tokens are the pixels of the patches."""

    def __init__(self, value=0.):
        super().__init__()
        self.value = value

    @property
    def backbone(self):
        return self

    def data_preprocessor(self, data, training):
        return dict(inputs=data['inputs'].float() - 128 + self.value)

    def extract_tokens(self, images):
        return None, nn.functional.unfold(images, PATCH, stride=PATCH).mT


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
    """Two videos of four frames, 48 x 64 pixels; the second has one object,
    the other is void."""
    folder = tmp_path_factory.mktemp('video')
    import_tool('dataset_tools/shapes_video.py').write_video(
        folder, 0, num_videos=2, num_frames=4, size=(48, 64))
    for path in sorted(folder.glob('Annotations/480p/shapes01/*')):
        labels = np.array(Image.open(path))
        Image.fromarray(np.where(labels == 2, 255, labels).astype(
            np.uint8)).save(path)
    return folder


def loop(folder, model=None, rank=0, world_size=1, side=48, **kwargs):
    dataset = DAVIS(str(folder), pipeline=[
        dict(type='ibot_mm.LoadImage'),
        dict(type='ibot_mm.ResizeShortSide', short_side=side, divisor=32),
        dict(type='mmpretrain.PackInputs')])
    sampler = DefaultSampler(dataset, shuffle=False, round_up=False)
    sampler.rank, sampler.world_size = rank, world_size
    runner = SimpleNamespace(
        model=model or Colors(), called=[],
        call_hook=lambda name, **kwargs: runner.called.append(name))
    return VideoSegmentationTestLoop(
        runner, DataLoader(dataset, sampler=sampler), PROTOCOL, **kwargs)


def labels(path):
    return np.array(Image.open(path))


def test_scores_are_those_of_the_written_masks(videos, tmp_path):
    """Frames but the first and the last, then objects of both videos."""
    test = loop(videos, out_dir=str(tmp_path))
    metrics = test.run()
    assert test.runner.called == ['before_test', 'before_test_epoch',
                                  'after_test_epoch', 'after_test']
    written = sorted(str(path.relative_to(tmp_path))
                     for path in tmp_path.rglob('*.png'))
    assert written == [f'shapes0{video}/0000{i}.png'
                       for video in range(2) for i in range(4)]
    with Image.open(tmp_path / 'shapes00' / '00002.png') as image:
        assert image.getpalette()[:6] == [0, 0, 0, 128, 0, 0]
    scores = []
    for name, count in (('shapes00', 2), ('shapes01', 1)):
        truth, found = (
            [labels(path) for path in sorted((folder / name).iterdir())]
            for folder in (videos / 'Annotations/480p', tmp_path))
        assert np.array_equal(truth[0], found[0])
        frames = [score_frame(found[i], truth[i], count) for i in (1, 2)]
        scores += list(sum(frames) / 2)
    j, f = 100 * np.mean(scores, axis=0)
    assert 20 < j < 80  # 6 x 8 patches
    assert metrics == {'davis/J': pytest.approx(j),
                       'davis/F': pytest.approx(f),
                       'davis/J&F': pytest.approx((j + f) / 2)}


def test_ranks_share_the_videos(videos, tmp_path, monkeypatch):
    together = loop(videos).run()
    parts = []
    monkeypatch.setattr(
        'ibot_mm.engine.loops.video_loop.all_gather_object',
        lambda scores: parts.append(scores) or parts)
    for rank in range(2):
        found = loop(videos, None, rank, 2, out_dir=str(tmp_path / str(rank)))
        metrics = found.run()
        assert [path.name for path in (tmp_path / str(rank)).iterdir()] == [
            f'shapes0{rank}']
    assert metrics == together


def test_what_cannot_be_scored_is_named(videos, tmp_path):
    with pytest.raises(ValueError, match='00000.jpg.*NaN'):
        loop(videos, Colors(torch.nan)).run()
    with pytest.raises(ValueError, match='short_side'):
        loop(videos, side=49).run()
    for kind in ('JPEGImages', 'ImageSets'):
        (tmp_path / kind).symlink_to(videos / kind)
    for path in videos.glob('Annotations/480p/*/*'):
        copy = tmp_path / path.relative_to(videos)
        copy.parent.mkdir(parents=True, exist_ok=True)
        Image.new('P', (64, 48)).save(copy)
    with pytest.raises(ValueError, match='00000.png.*shapes00'):
        loop(tmp_path).run()
