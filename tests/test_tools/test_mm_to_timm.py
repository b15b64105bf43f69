"""Converted backbones in timm's own VisionTransformer."""

import pytest
import timm
import torch
from timm.models.vision_transformer import VisionTransformer

from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.checkpoints.timm import to_timm
from ibot_mm.models import IBOTSwin, IBOTViT
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
    with pytest.raises(CheckpointError, match='place for blocks.0.mlp.w12'):
        to_timm({'layers.0.ffn.w12.weight': torch.zeros(1)})


def call_in(out):
    """The line of code that the tool prints, as a user pastes it."""
    return next(line for line in out.splitlines()
                if line.startswith('timm.create_model('))


def test_the_printed_call_gives_our_features(tmp_path):
    """A network of the paper, whose heads are known, without a config."""
    backbone = IBOTViT('tiny', img_size=48, patch_size=8).eval()
    backbone.init_weights()
    source, target = tmp_path / 'bare.pth', tmp_path / 'vit.pth'
    torch.save(backbone.state_dict(), source)
    out, _ = run_tool(TO_TIMM, source, target)
    assert "'vit_tiny_patch16_224'" in out and 'assumed' in out
    assert 'for RGB' in out
    model = eval(call_in(out), dict(timm=timm)).eval()
    x = torch.randn(2, 3, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(model(x), backbone.extract_cls(x),
                                   atol=1e-5, rtol=0)
    # ImageNet's; what timm has under this name is not.
    data = timm.data.resolve_model_data_config(model)
    assert data['mean'] == (0.485, 0.456, 0.406)
    assert data['std'] == (0.229, 0.224, 0.225)
    usual = timm.get_pretrained_cfg('vit_tiny_patch16_224')
    assert usual.mean == usual.std == (0.5, 0.5, 0.5)


@pytest.mark.parametrize('mean, std, shown', [
    ([51., 102., 153.], [25.5, 51., 76.5],
     '(0.2, 0.4, 0.6) and std (0.1, 0.2, 0.3): as in the config, for BGR'),
    ([1., 2., 3., 4.], [5., 6., 7., 8.],
     '(1.0, 2.0, 3.0, 4.0) and std (5.0, 6.0, 7.0, 8.0): as in the config'),
])
def test_the_printed_call_with_a_config(tmp_path, mean, std, shown):
    """What the weights do not show: heads, and a grid that is no square."""
    channels = len(mean)
    settings = dict(
        arch=dict(embed_dims=32, num_layers=2, num_heads=4,
                  feedforward_channels=64),
        img_size=(32, 16), patch_size=8, in_channels=channels)
    backbone = IBOTViT(**settings).eval()
    backbone.init_weights()
    source, target = tmp_path / 'bare.pth', tmp_path / 'vit.pth'
    config = tmp_path / 'config.py'
    config.write_text(
        f"model = dict(type='ibot_mm.IBOT', backbone=dict("
        f"type='ibot_mm.IBOTViT', with_mask_token=True, **{settings}), "
        f'data_preprocessor=dict(mean={mean}, std={std}))')
    torch.save(backbone.state_dict(), source)
    out, _ = run_tool(TO_TIMM, source, target)
    assert 'number of heads' in out and 'timm.create_model(' not in out
    assert ('4 channels is in its config' in out) == (channels == 4)
    out, _ = run_tool(TO_TIMM, source, target, '--config', config)
    assert shown in out
    model = eval(call_in(out), dict(timm=timm)).eval()
    x = torch.randn(2, channels, 32, 16)
    with torch.no_grad():
        torch.testing.assert_close(model(x), backbone.extract_cls(x),
                                   atol=1e-5, rtol=0)
    if channels == 3:
        assert model.pretrained_cfg['mean'] == (0.2, 0.4, 0.6)


def test_a_config_of_another_network(checkpoint, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("model = dict(backbone=dict(type='ibot_mm.IBOTViT', "
                      "arch='tiny'))")
    with pytest.raises(CheckpointError, match='epoch_1.pth.*width 48, 2 bl'):
        run_tool(TO_TIMM, checkpoint[1], tmp_path / 'vit.pth', '--config',
                 config)
