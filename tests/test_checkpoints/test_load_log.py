"""The line of the log about what was read into which part."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MMLogger
from torch import nn

from ibot_mm.engine import StrictLoadHook
from ibot_mm.models import FeatureExtractor, IBOTSwin, IBOTViT, ProjectionNeck
from tests.helpers.builders import ARCH, build_model

# 2 layers of 12 entries; CLS token, positions, and weights and biases of the
# patch embedding and the final norm.
ENTRIES = 2 * 12 + 2 + 2 + 2
VIT = dict(arch=ARCH, img_size=32, patch_size=8)


@pytest.fixture
def log(tmp_path):
    """The lines about entries in a run's log, without time and level."""
    path = tmp_path / 'run.log'
    logger = MMLogger.get_instance(f'load_log {tmp_path}', log_file=str(path))
    yield lambda: [line.split(' - ', 3)[-1]
                   for line in path.read_text().splitlines()
                   if ' entries of ' in line]
    for handler in logger.handlers:
        handler.close()
    MMLogger._instance_dict.pop(logger.instance_name)


@pytest.fixture
def pretraining(tmp_path):
    path = str(tmp_path / 'epoch_20.pth')
    torch.save(dict(state_dict=build_model().state_dict()), path)
    return path


def initialize(cls, path, *args, init=None, **settings):
    cls(*args, **settings, init_cfg=dict(
        type='Pretrained', checkpoint=path, **init or {})).init_weights()


@pytest.mark.parametrize('init, source', [
    (dict(), "the teacher's backbone"),
    (dict(network='student'), "the student's backbone"),
    (dict(prefix='teacher.backbone.'), "the teacher's backbone"),
    (dict(prefix='backbone.'), "the teacher's backbone"),
    (dict(prefix='backbone.', network='student'), "the student's backbone"),
])
def test_whose_weights(log, pretraining, init, source):
    initialize(IBOTViT, pretraining, init=init, **VIT)
    assert log() == [f'IBOTViT: {ENTRIES} entries of {source} in '
                     f'"{pretraining}"']


def test_a_file_that_does_not_say_whose(log, tmp_path):
    path = str(tmp_path / 'bare.pth')
    torch.save(IBOTViT(**VIT).state_dict(), path)
    initialize(IBOTViT, path, **VIT)
    assert log() == [f'IBOTViT: {ENTRIES} entries of the backbone in '
                     f'"{path}"']


def test_what_was_changed(log, pretraining):
    """Six channels, images of 48 x 16, a mask token, and no final norm."""
    settings = dict(VIT, img_size=(48, 16), in_channels=6, out_indices=[0, 1],
                    out_with_norm=False, with_mask_token=True)
    initialize(IBOTViT, pretraining, init=dict(
        inflate=True, resize_positions=True), **settings)
    line, = log()
    assert line.startswith(f'IBOTViT: {ENTRIES - 2} entries of the teacher')
    assert line.endswith(
        '; resized: patch_embed.projection.weight 24x3x8x8 -> 24x6x8x8, '
        'pos_embed 1x17x24 -> 1x13x24'
        '; not loaded: mask_token; not used: ln1.bias, ln1.weight')


def test_a_neck(log, pretraining):
    initialize(ProjectionNeck, pretraining, 24, 32)
    assert log() == ['ProjectionNeck: 2 entries of the teacher\'s neck in '
                     f'"{pretraining}"']


def test_windows(log, tmp_path):
    """Four tables for windows of 4, (2 x 4 - 1)^2 rows, to windows of 7."""
    arch = dict(embed_dims=8, depths=[2, 2], num_heads=[2, 4])
    path = str(tmp_path / 'swin.pth')
    small = IBOTSwin(arch, img_size=64, window_size=4, out_indices=(1, ))
    torch.save(small.state_dict(), path)
    initialize(IBOTSwin, path, arch, img_size=112, window_size=7,
               out_indices=(0, 1))
    line, = log()
    table = 'attn.w_msa.relative_position_bias_table'
    assert f'resized: stages.0.blocks.0.{table} 49x2 -> 169x2, ' in line
    assert '49x4 -> 169x4 and 1 more; not loaded: norm0.bias, norm0.' in line


def load_from(model, path, *args, resume=False):
    runner = SimpleNamespace(model=model, _load_from=path, _resume=resume)
    checkpoint = torch.load(path)
    StrictLoadHook(*args).after_load_checkpoint(runner, checkpoint)


def test_load_from_and_resume(log, pretraining):
    count = len(build_model().state_dict())
    load_from(build_model(), pretraining)
    load_from(FeatureExtractor(dict(type='ibot_mm.IBOTViT', **VIT)),
              pretraining)
    load_from(FeatureExtractor(dict(type='ibot_mm.IBOTViT', **VIT),
                               network='student'), pretraining)
    assert log() == [
        f'IBOT: {count} entries of "{pretraining}"',
        f'FeatureExtractor: {ENTRIES} entries of the teacher in '
        f'"{pretraining}"',
        f'FeatureExtractor: {ENTRIES} entries of the student in '
        f'"{pretraining}"',
    ]


def test_skipped_prefixes(log, tmp_path):

    def model(classes):
        return nn.ModuleDict(dict(body=nn.Linear(3, 4),
                                  head=nn.Linear(4, classes)))

    path = str(tmp_path / 'x.pth')
    torch.save(dict(state_dict=model(5).state_dict()), path)
    load_from(model(2), path, ['head.'])
    assert log() == [f'ModuleDict: 2 entries of "{path}"; not loaded: '
                     'head.bias, head.weight']
