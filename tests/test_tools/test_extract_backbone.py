"""Extracted backbones load in the plain ones of the host."""

import hashlib

import pytest
import torch
from mmpretrain.models.backbones import VisionTransformer

from ibot_mm.checkpoints.load import CheckpointError
from tests.helpers.builders import ARCH, build_model
from tests.helpers.in_process import run_tool

SCRIPT = 'model_converters/extract_backbone.py'


@pytest.fixture
def checkpoint(tmp_path):
    model = build_model()
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.mul_(1.1)
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return model.eval(), path


@pytest.mark.parametrize('network', ['teacher', 'student'])
def test_features_in_the_host(checkpoint, tmp_path, network):
    model, source = checkpoint
    out, _ = run_tool(SCRIPT, source, tmp_path / 'ibot.pth', '--network',
                      network)
    path = next(tmp_path.glob('ibot-*.pth'))
    assert path.stem[5:] == hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    assert path.name in out
    host = VisionTransformer(
        arch=ARCH, img_size=32, patch_size=8, init_cfg=dict(
            type='Pretrained', checkpoint=str(path), prefix='backbone.'))
    host.init_weights()
    host.eval()
    x = torch.randn(2, 3, 32, 32)
    ours = model.teacher.backbone if network == 'teacher' else model.backbone
    torch.testing.assert_close(host(x)[0], ours.extract_tokens(x)[0])
    state = torch.load(path)['state_dict']
    assert set(state) == {f'backbone.{k}' for k in host.state_dict()}


def test_with_the_neck(checkpoint, tmp_path):
    model, source = checkpoint
    run_tool(SCRIPT, source, tmp_path / 'a.pth', '--with-neck')
    state = torch.load(next(tmp_path.glob('a-*.pth')))['state_dict']
    for name, value in model.teacher.neck.state_dict().items():
        assert torch.equal(state[f'neck.{name}'], value)


def test_a_checkpoint_without_a_teacher(tmp_path):
    source = tmp_path / 'x.pth'
    torch.save(dict(state_dict={'backbone.a': torch.zeros(1),
                                'head.center.value': torch.zeros(1)}), source)
    with pytest.raises(CheckpointError, match='no teacher'):
        run_tool(SCRIPT, source, tmp_path / 'y.pth')
    assert not list(tmp_path.glob('y*'))
