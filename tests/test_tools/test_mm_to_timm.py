"""Converted backbones in timm's own VisionTransformer."""

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.checkpoints.timm import to_timm
from ibot_mm.models import IBOTSwin
from tests.helpers.builders import build_model
from tests.helpers.in_process import run_tool

TO_TIMM = 'model_converters/mm_to_timm.py'
BACKBONE = dict(
    arch=dict(
        embed_dims=48, num_layers=2, num_heads=3, feedforward_channels=192),
    img_size=32,
    patch_size=8)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """A model whose student and teacher differ, and its file."""
    model = build_model(backbone=BACKBONE, neck=dict(in_channels=48))
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.mul_(1.1)
    path = tmp_path_factory.mktemp('timm') / 'epoch_1.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return model.eval(), path


def compare(state, backbone):
    """CLS and patch tokens of timm's network and of ours."""
    network = VisionTransformer(
        img_size=32, patch_size=8, embed_dim=48, depth=2, num_heads=3,
        num_classes=0)
    network.load_state_dict(state, strict=True)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        tokens = network.eval().forward_features(x)
        cls, patch = backbone.extract_tokens(x)
    torch.testing.assert_close(tokens[:, 0], cls, atol=1e-5, rtol=0)
    torch.testing.assert_close(tokens[:, 1:], patch, atol=1e-5, rtol=0)


@pytest.mark.parametrize('network', ['teacher', 'student'])
def test_tokens_in_timm(checkpoint, tmp_path, network):
    model, source = checkpoint
    options = ['--network', network] if network == 'student' else []
    run_tool(TO_TIMM, source, tmp_path / 'vit.pth', *options)
    backbone = (model.teacher if network == 'teacher' else model).backbone
    compare(torch.load(tmp_path / 'vit.pth'), backbone)


def test_the_file_of_dino(checkpoint, tmp_path):
    model, source = checkpoint
    target = tmp_path / 'dino.pth'
    run_tool(TO_TIMM, source, target, '--style', 'dino')
    content = torch.load(target)
    assert list(content) == ['teacher']
    # What DINO's scripts do with the prefix.
    state = {name.replace('backbone.', ''): value
             for name, value in content['teacher'].items()}
    assert all(name.startswith('backbone.') for name in content['teacher'])
    compare(state, model.teacher.backbone)


def test_an_extracted_backbone(checkpoint, tmp_path):
    model, source = checkpoint
    run_tool('model_converters/extract_backbone.py', source,
             tmp_path / 'ibot.pth')
    extracted = next(tmp_path.glob('ibot-*.pth'))
    run_tool(TO_TIMM, extracted, tmp_path / 'vit.pth')
    compare(torch.load(tmp_path / 'vit.pth'), model.teacher.backbone)


def test_backbones_without_a_place_in_timm(tmp_path):
    swin = IBOTSwin(
        arch=dict(embed_dims=8, depths=[1, 1], num_heads=[1, 2]),
        img_size=56, out_indices=(1, ))
    source, target = tmp_path / 'swin.pth', tmp_path / 'x.pth'
    torch.save({f'teacher.backbone.{k}': v
                for k, v in swin.state_dict().items()}, source)
    with pytest.raises(CheckpointError, match='Swin'):
        run_tool(TO_TIMM, source, target)
    assert not target.exists()
    with pytest.raises(CheckpointError, match='place for layers.0.ffn.w12'):
        to_timm({'layers.0.ffn.w12.weight': torch.zeros(1)})
