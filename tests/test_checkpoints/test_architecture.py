"""Architectures from weights: the model that had them is built again."""

import pytest
import torch
from mmpretrain.models.backbones import SwinTransformer, VisionTransformer

from ibot_mm.checkpoints.architecture import backbone_config, neck_config
from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.models import IBOTNeck, IBOTSwin, IBOTViT
from ibot_mm.registry import MODELS
from tests.helpers.builders import ARCH


def rebuilt(model, **settings):
    """The config that the weights show; its model loads them strictly."""
    state = model.state_dict()
    config = backbone_config(state, **settings)
    # MMPretrain's Swin cannot be built on the meta device.
    with torch.device('meta' if 'IBOTViT' in config['type'] else 'cpu'):
        again = MODELS.build(config)
    again.load_state_dict(state, strict=True, assign=True)
    for name, value in again.state_dict().items():
        assert value.shape == state[name].shape, name  # none was resized
    return config


def on_meta(cls, *args, **kwargs):
    with torch.device('meta'):
        return cls(*args, **kwargs)


@pytest.mark.parametrize('arch, patch, width, depth, heads', [
    ('tiny', 16, 192, 12, 3),
    ('small', 8, 384, 12, 6),
    ('small', 14, 384, 12, 6),
    ('base', 16, 768, 12, 12),
    ('large', 14, 1024, 24, 16),
    ('huge', 14, 1280, 32, 16),
])
def test_published_vits(arch, patch, width, depth, heads):
    config = rebuilt(on_meta(IBOTViT, arch, patch_size=patch))
    assert config == dict(
        type='ibot_mm.IBOTViT', patch_size=patch, in_channels=3, img_size=224,
        arch=dict(embed_dims=width, num_layers=depth, num_heads=heads,
                  feedforward_channels=4 * width))


def test_every_vit_of_mmpretrain():
    """The number of heads is not in the weights."""
    for arch in VisionTransformer.arch_zoo.values():
        shallow = on_meta(IBOTViT, {**arch, 'num_layers': 1}).state_dict()
        state = {**shallow, **{
            name.replace('layers.0.', f'layers.{i}.'): value
            for i in range(arch['num_layers'])
            for name, value in shallow.items() if 'layers.0.' in name}}
        assert backbone_config(state)['arch'] == arch


def test_options_of_a_vit():
    changes = dict(arch=ARCH, img_size=40, patch_size=8, in_channels=6,
                   with_mask_token=True, layer_scale_init_value=1e-5,
                   num_register_tokens=3,
                   qkv_bias=False, final_norm=False)
    config = rebuilt(IBOTViT(**changes), num_heads=3)
    assert config == dict(changes, type='ibot_mm.IBOTViT')
    # As in DINOv2's giant; the hidden width of 24 is 2/3 of 36.
    swiglu = dict(arch={**ARCH, 'feedforward_channels': 36}, img_size=16,
                  patch_size=8, layer_cfgs=dict(ffn_type='swiglu_fused'))
    config = rebuilt(IBOTViT(**swiglu), num_heads=3)
    assert config == dict(swiglu, type='ibot_mm.IBOTViT', in_channels=3)


def test_what_the_weights_of_a_vit_do_not_show():
    model = IBOTViT(ARCH, img_size=(24, 40), patch_size=8)
    with pytest.raises(CheckpointError, match='num_heads'):
        backbone_config(model.state_dict())
    with pytest.raises(CheckpointError, match='15 patches.*img_size'):
        backbone_config(model.state_dict(), num_heads=3)
    config = rebuilt(model, num_heads=3, img_size=(24, 40), out_type='featmap')
    assert config['arch'] == ARCH and config['out_type'] == 'featmap'


@pytest.mark.parametrize('arch, window', [
    ('tiny', 7), ('tiny', 14),
    pytest.param('small', 7, marks=pytest.mark.slow),
    pytest.param('base', 7, marks=pytest.mark.slow)])
def test_published_swin_transformers(arch, window):
    config = rebuilt(IBOTSwin(arch, window_size=window))
    assert config == dict(
        type='ibot_mm.IBOTSwin', patch_size=4, in_channels=3, img_size=224,
        arch=SwinTransformer.arch_zoo[arch], window_size=window,
        out_indices=[3])


@pytest.mark.parametrize('size, maps', [(32, [8, 4]), (36, [9, 4])])
def test_small_swin_transformers(size, maps):
    """The windows of the last stage are as large as its map."""
    arch = dict(embed_dims=8, depths=[1, 2], num_heads=[1, 2])
    model = IBOTSwin(arch, img_size=size, window_size=14, out_indices=(0, 1),
                     with_mask_token=True)
    config = rebuilt(model)
    assert config['window_size'] == maps[0]
    assert config['img_size'] == size and config['out_indices'] == [0, 1]
    assert config['with_mask_token'] and config['arch'] == arch


def test_no_backbone():
    with pytest.raises(CheckpointError, match='patch_embed.projection.weight'):
        backbone_config({'fc.weight': torch.zeros(1)})


@pytest.mark.parametrize('settings', [
    dict(), dict(num_layers=2), dict(norm_cfg=dict(type='BN1d')),
    dict(norm_cfg=dict(type='LN')),
    dict(shared_head=False, num_patch_prototypes=7, num_layers=4)])
def test_projection_heads(settings):
    """A head that is built from the config computes the same."""
    neck = IBOTNeck(6, 16, 8, num_prototypes=5, norm_last_layer=False,
                    **settings).eval()
    other = MODELS.build(neck_config(neck.state_dict())).eval()
    other.load_state_dict(neck.state_dict())
    tokens = torch.randn(3, 6), torch.randn(4, 6)
    for found, expected in zip(other(*tokens), neck(*tokens)):
        assert torch.equal(found, expected)
