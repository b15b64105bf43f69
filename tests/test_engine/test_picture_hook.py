"""Pictures of the teacher while it is trained."""

import json
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from ibot_mm.engine.hooks import PictureHook
from ibot_mm.engine.hooks.picture_hook import STRIP, drawable
from ibot_mm.models import IBOTSwin
from tests.helpers.builders import build_model
from tests.helpers.in_process import train
from tests.helpers.launched import EPOCH, tiny_config
from tests.helpers.resumed import load, same

SIDE = 96  # of a picture in the strip


class Colors:
    """Images of one color each, 10 x their index in blue."""

    def __init__(self, count, shape=(30, 50, 3), dtype=np.uint8):
        self.images = [np.zeros(shape, dtype) for _ in range(count)]
        for i, image in enumerate(self.images):
            image[..., 0] = 10 * i
        self.pipeline = SimpleNamespace(transforms=[dict])
        self.read = []

    def __len__(self):
        return len(self.images)

    def get_data_info(self, index):
        self.read.append(index)
        return dict(img=self.images[index])


class Log:
    def __init__(self):
        self.warnings, self.infos = [], []
        self.warning, self.info = self.warnings.append, self.infos.append


class Pictures:
    def __init__(self):
        self.added = {}

    def add_image(self, name, picture, step):
        self.added[name, step] = picture


def fake_runner(tmp_path, dataset, model=None, validates=True, **changes):
    loader = SimpleNamespace(dataset=dataset)
    return SimpleNamespace(**dict(dict(
        work_dir=tmp_path, iter=0, epoch=0, rank=0, logger=Log(),
        model=model or build_model(), visualizer=Pictures(),
        train_dataloader=loader,
        val_loop=SimpleNamespace(dataloader=loader) if validates else None),
        **changes))


def at(runner, epoch):
    runner.epoch, runner.iter = epoch, EPOCH * epoch
    return runner


def strip(work_dir):
    """Iterations and pixels of the strip, (1 + rows, SIDE, W, 3)."""
    with Image.open(work_dir / STRIP) as file:
        pixels = np.asarray(file)
        return json.loads(file.text['iterations']), pixels.reshape(
            -1, SIDE, *pixels.shape[1:])


def test_the_same_images_at_each_validation(tmp_path):
    """Of 9 images the first, the middle and the last; in RGB."""
    dataset = Colors(9)
    runner = fake_runner(tmp_path, dataset)
    hook = PictureHook(count=3, patches=6)
    hook.before_train(runner)
    for epoch in (1, 2):
        hook.after_val_epoch(at(runner, epoch))
    hook.after_train(runner)
    assert not runner.logger.warnings
    assert str(tmp_path / STRIP) in runner.logger.infos[0]
    assert dataset.read == [0, 4, 8]
    first, second = (runner.visualizer.added['pictures', EPOCH * epoch]
                     for epoch in (1, 2))
    side = 6 * 8  # patches of 8 pixels
    assert first.shape == (3 * side, 3 * side, 3)
    for i, blue in enumerate((0, 40, 80)):
        image = first[:side, i * side:(i + 1) * side]
        assert (image == [0, 0, blue]).all()
    # The teacher has not changed, and neither have the pictures.
    assert (first == second).all()
    known, rows = strip(tmp_path)
    assert known == [EPOCH, 2 * EPOCH]
    assert rows.shape == (3, SIDE, SIDE * (1 + 2 * 3), 3)
    assert (rows[1, :, SIDE:] == rows[2, :, SIDE:]).all()
    assert (rows[1] != rows[2]).any()  # the number of the epoch


def test_without_validation_at_the_end(tmp_path):
    runner = fake_runner(tmp_path, Colors(5), validates=False)
    hook = PictureHook(count=2, patches=4)
    hook.before_train(runner)
    hook.after_train(at(runner, 3))
    assert strip(tmp_path)[0] == [3 * EPOCH]


def test_a_new_run_starts_a_new_strip(tmp_path):
    for _ in range(2):
        hook, runner = PictureHook(2, 4), fake_runner(tmp_path, Colors(5))
        hook.before_train(runner)
        hook.after_val_epoch(at(runner, 1))
    assert strip(tmp_path)[0] == [EPOCH]


def test_no_attention_without_a_cls_token(tmp_path):
    swin = IBOTSwin(arch=dict(embed_dims=8, depths=[1, 1, 1, 1],
                              num_heads=[1, 1, 1, 1]))
    model = build_model()
    model.teacher.backbone = swin
    runner = fake_runner(tmp_path, Colors(5), model)
    hook = PictureHook(count=2, patches=4)
    hook.before_train(runner)
    hook.after_val_epoch(at(runner, 1))
    # Tokens of 32 pixels; images and components.
    assert runner.visualizer.added['pictures', EPOCH].shape == (
        2 * 128, 2 * 128, 3)
    assert strip(tmp_path)[1].shape == (2, SIDE, 3 * SIDE, 3)


def test_channels_that_are_no_colors(tmp_path):
    """Their mean, from black to white."""
    image = np.zeros((1, 2, 6), np.uint16)
    image[0, 1, 3] = 60_000
    assert drawable(image).tolist() == [[[0] * 3, [255] * 3]]
    model = build_model(backbone=dict(in_channels=6))
    runner = fake_runner(tmp_path, Colors(5, (20, 20, 6), np.uint16), model)
    hook = PictureHook(count=2, patches=4)
    hook.before_train(runner)
    hook.after_val_epoch(at(runner, 1))
    assert not runner.logger.warnings and strip(tmp_path)[0] == [EPOCH]


@pytest.mark.parametrize('case', ['off', 'rank 1', 'no training'])
def test_nothing_is_drawn(tmp_path, case):
    dataset = Colors(5)
    runner = fake_runner(tmp_path, dataset, rank=int(case == 'rank 1'))
    hook = PictureHook(count=0 if case == 'off' else 2, patches=4)
    if case != 'no training':
        hook.before_train(runner)
    hook.after_val_epoch(at(runner, 1))
    assert not dataset.read and not runner.logger.warnings
    assert not list(tmp_path.iterdir())


def test_what_fails_is_a_warning(tmp_path):
    runner = fake_runner(tmp_path, Colors(0))
    hook = PictureHook()
    hook.before_train(runner)
    hook.after_val_epoch(at(runner, 1))
    (tmp_path / STRIP).parent.mkdir()
    (tmp_path / STRIP).write_bytes(b'no picture')
    hook = PictureHook()
    hook.before_train(at(runner, 1))
    hook.after_val_epoch(runner)
    no_images, no_strip = runner.logger.warnings
    assert 'count=0' in no_images and str(tmp_path / STRIP) in no_strip


def test_no_random_numbers_and_no_change_of_the_model(tmp_path):
    runner = fake_runner(tmp_path, Colors(5))
    hook = PictureHook(count=2, patches=4)
    hook.before_train(runner)

    def state():
        return dict(runner.model.state_dict(), torch=torch.get_rng_state(),
                    random=random.getstate(),
                    numpy=np.random.get_state(legacy=False)['state']['pos'])

    before = {name: value.clone() if isinstance(value, torch.Tensor)
              else value for name, value in state().items()}
    hook.after_val_epoch(at(runner, 1))
    same(state(), before)
    assert strip(tmp_path)[0] == [EPOCH]


def test_a_resumed_run_draws_what_the_whole_run_drew(tmp_path):
    """Colors, too, which follow the row before."""
    def draw(start, *epochs):
        runner = fake_runner(tmp_path, Colors(9))
        hook = PictureHook(count=3, patches=6)
        hook.before_train(at(runner, start))
        for epoch in epochs:
            runner.model = build_model(seed=epoch)
            hook.after_val_epoch(at(runner, epoch))
        return strip(tmp_path)

    known, rows = draw(0, 1, 2, 3)
    assert known == [EPOCH, 2 * EPOCH, 3 * EPOCH] and len(rows) == 4
    again, others = draw(1, 2, 3)
    assert again == known
    assert (others == rows).all() and (rows[2] != rows[3]).any()


@pytest.mark.slow
def test_training_does_not_depend_on_it(tmp_path, shapes):
    """Weights and optimizer bit by bit; a resumed run draws the same."""
    text = '''
train_cfg = dict(max_epochs=2, val_interval=1)
default_hooks['checkpoint'] = dict(interval=1)
default_hooks['pictures'] = dict(patches=6, count=%d)
'''
    for name, count in (('with', 3), ('without', 0)):
        train(tiny_config(tmp_path / f'{name}.py', shapes, text % count, 24),
              tmp_path / name)
    ends = [load(tmp_path / name / 'epoch_2.pth')
            for name in ('with', 'without')]
    for part in ('state_dict', 'optimizer'):
        same(ends[0][part], ends[1][part])
    assert not (tmp_path / 'without' / STRIP).exists()
    known, rows = strip(tmp_path / 'with')
    assert known == [2, 4] and len(rows) == 3  # 48 images
    train(tmp_path / 'with.py', tmp_path / 'with', '--resume',
          tmp_path / 'with' / 'epoch_1.pth')
    again, others = strip(tmp_path / 'with')
    assert again == known
    assert (others == rows).all()
