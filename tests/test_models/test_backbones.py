"""Backbones compared with the official code and with MMPretrain."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models import SwinTransformer, VisionTransformer

from ibot_mm.models import IBOTSwin, IBOTViT
from ibot_mm.models.layers.compilation import compile_parts
from ibot_mm.models.layers.pos_embed import interpolate_positions
from tests.helpers import golden

VIT = dict(
    arch=dict(
        embed_dims=48, num_layers=2, num_heads=3, feedforward_channels=192),
    img_size=64,
    patch_size=8)
SWIN = dict(
    arch=dict(embed_dims=8, depths=[2, 2, 2, 2], num_heads=[1, 2, 4, 8]),
    drop_path_rate=0.)


@pytest.fixture()
def vit():
    model = IBOTViT(**VIT, with_mask_token=True)
    model.load_state_dict(golden.weights('vit_misc', 'w/'))
    return model.eval()


@pytest.fixture()
def swin():
    model = IBOTSwin(**SWIN, with_mask_token=True)
    missing, unexpected = model.load_state_dict(
        golden.weights('swin_w7', 'w/'), strict=False)
    assert not unexpected
    # The official file lacks the index buffers.
    assert all('relative_position_index' in name for name in missing)
    return model.eval()


def tokens(model, x, mask=None):
    cls, patch = model.extract_tokens(x, mask)
    return torch.cat([cls.unsqueeze(1), patch], dim=1)


@pytest.mark.parametrize('images,mask,expected', [
    ('x64', 'mask', 'tokens_masked'),
    ('x64', None, 'tokens'),
    ('x96x64', None, 'tokens_96x64'),
    ('x32', None, 'tokens_32'),
])
def test_vit_tokens(vit, images, mask, expected):
    mask = mask and golden.tensor('vit_misc', mask)
    ours = tokens(vit, golden.tensor('vit_misc', images), mask)
    torch.testing.assert_close(
        ours, golden.tensor('vit_misc', expected), atol=5e-6, rtol=0)


@pytest.mark.parametrize('images, expected', [
    ('x64', 'attn_last'), ('x96x64', 'attn_last_96x64')])
@pytest.mark.parametrize('change', ['plain', 'frozen', 'checkpointed',
                                    'compiled'])
def test_last_attention(images, expected, change):
    """Of the official code, on any attention code."""
    model = IBOTViT(**VIT, frozen_stages=2 if change == 'frozen' else -1,
                    with_cp=change == 'checkpointed')
    weights = golden.weights('vit_misc', 'w/')
    weights.pop('mask_token')
    model.load_state_dict(weights)
    if change == 'compiled':
        compile_parts(model.blocks, dict(backend='eager'))
    torch.testing.assert_close(
        model.eval().last_attention(golden.tensor('vit_misc', images)),
        golden.tensor('vit_misc', expected), atol=1e-6, rtol=1e-5)


def test_last_attention_with_registers():
    """Attention over a matrix of values that is the identity."""
    model = IBOTViT(**VIT, num_register_tokens=3).eval()
    found = []
    model.layers[-1].attn.qkv.register_forward_hook(
        lambda module, args, out: found.append(out))
    attention = model.last_attention(torch.randn(2, 3, 64, 64))
    assert attention.shape == (2, 3, 1 + 3 + 64, 1 + 3 + 64)
    q, k, _ = found[0].view(2, 68, 3, 3, 16).permute(2, 0, 3, 1, 4)
    torch.testing.assert_close(
        attention, F.scaled_dot_product_attention(q, k, torch.eye(68)))


def test_last_attention_of_swin(swin):
    """Its product with the values is what the last block projects."""
    attn = swin.blocks[-1].attn.w_msa
    found = {}
    for name in ('qkv', 'proj'):
        getattr(attn, name).register_forward_hook(
            lambda module, args, out, name=name: found.update(
                {name: (args[0], out)}))
    weights = swin.last_attention(torch.randn(1, 3, 224, 224))
    windows, heads, tokens, _ = weights.shape
    assert (windows, tokens) == (1, 49)
    value = found['qkv'][1].view(windows, tokens, 3, heads, -1)[:, :, 2]
    torch.testing.assert_close(
        (weights @ value.transpose(1, 2)).transpose(1, 2).flatten(2),
        found['proj'][0])


@pytest.mark.parametrize('target,expected', [((12, 8), 'pos_96x64'),
                                             ((4, 4), 'pos_32')])
def test_vit_positions(vit, target, expected):
    ours = interpolate_positions(vit.pos_embed, (8, 8), target)
    torch.testing.assert_close(
        ours, golden.tensor('vit_misc', expected), atol=1e-6, rtol=0)


@pytest.mark.parametrize('target,expected', [((6, 6), 'pos14_to_96'),
                                             ((30, 20), 'pos14_to_480x320')])
def test_positions_of_a_14x14_grid(target, expected):
    source = golden.tensor('vit_misc', 'pos14_src')
    reference = golden.tensor('vit_misc', expected)
    ours = interpolate_positions(source, (14, 14), target)
    torch.testing.assert_close(ours, reference, atol=1e-6, rtol=0)
    by_size = interpolate_positions(source, (14, 14), target, offset=0.)
    # MMPretrain interpolates differently, visibly so at 96 pixels.
    assert (by_size - reference).abs().max() > 1e-4


def test_gradients_of_resized_positions():
    """Against the gradients of PyTorch's interpolation."""
    grids = []
    source = torch.randn(1, 1 + 6 * 4, 8)
    for resize in (
            lambda p: interpolate_positions(p, (6, 4), (3, 5)),
            lambda p: torch.cat([p[:, :1], torch.nn.functional.interpolate(
                p[:, 1:].reshape(1, 6, 4, 8).permute(0, 3, 1, 2),
                scale_factor=(3.1 / 6, 5.1 / 4), mode='bicubic').flatten(
                    2).transpose(1, 2)], 1)):
        positions = source.clone().requires_grad_()
        out = resize(positions)
        grids.append([out, *torch.autograd.grad(out.sin().sum(), positions)])
    for ours, theirs in zip(*grids):
        torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=0)


def test_vit_attention_of_the_last_layer(vit):
    seen = {}

    def attend(module, args, qkv):
        q, k, _ = qkv.reshape(*qkv.shape[:2], 3, 3, 16).permute(2, 0, 3, 1, 4)
        seen['p'] = (q @ k.transpose(-2, -1) / 16**0.5).softmax(-1)

    vit.layers[-1].attn.qkv.register_forward_hook(attend)
    for images, expected in (('x64', 'attn_last'),
                             ('x96x64', 'attn_last_96x64')):
        vit.extract_tokens(golden.tensor('vit_misc', images))
        torch.testing.assert_close(
            seen['p'], golden.tensor('vit_misc', expected), atol=1e-6, rtol=0)


def test_vit_intermediate_layers(vit):
    """Official: the last norm applied to the output of each layer."""
    outputs = []
    for layer in vit.layers:
        layer.register_forward_hook(lambda m, i, o: outputs.append(o))
    vit.extract_tokens(golden.tensor('vit_misc', 'x64'))
    for i, output in enumerate(outputs):
        torch.testing.assert_close(
            vit.ln1(output),
            golden.tensor('vit_misc', f'intermediate_n2_{i}'),
            atol=5e-6,
            rtol=0)


@pytest.mark.parametrize('images,mask,expected', [
    ('x224', 'mask', 'out_masked'),
    ('x224', None, 'out_nomask'),
    ('x96', None, 'out_96'),
])
def test_swin_tokens(swin, images, mask, expected):
    mask = mask and golden.tensor('swin_w7', mask)
    ours = tokens(swin, golden.tensor('swin_w7', images), mask)
    torch.testing.assert_close(
        ours, golden.tensor('swin_w7', expected), atol=1e-5, rtol=0)


def test_swin_gradients(swin):
    out = tokens(swin, golden.tensor('swin_w7', 'x224'),
                 golden.tensor('swin_w7', 'mask'))
    out.square().mean().backward()
    for parameter, expected in ((swin.mask_token, 'grad_masked_embed'),
                                (swin.patch_embed.projection.weight,
                                 'grad_patch_proj')):
        reference = golden.tensor('swin_w7', expected)
        torch.testing.assert_close(
            parameter.grad.reshape(reference.shape),
            reference,
            atol=1e-6,
            rtol=1e-4)


@pytest.mark.parametrize('arch,width,depth,heads', [
    ('tiny', 192, 12, 3),
    ('small', 384, 12, 6),
    ('base', 768, 12, 12),
    ('large', 1024, 24, 16),
])
@pytest.mark.parametrize('patch_size', [8, 16])
def test_vit_sizes(arch, width, depth, heads, patch_size):
    with torch.device('meta'):
        model = IBOTViT(arch, patch_size=patch_size)
    grid = (224 // patch_size)**2
    block = 12 * width * width + 13 * width
    # CLS and positions, patch embedding, blocks, last norm.
    expected = (width * (grid + 2) + width * (3 * patch_size**2 + 1) +
                depth * block + 2 * width)
    assert sum(p.numel() for p in model.parameters()) == expected
    assert model.layers[0].attn.num_heads == heads


def test_vit_weights_load_in_mmpretrain():
    ours = IBOTViT(**VIT).eval()
    ours.init_weights()
    theirs = VisionTransformer(**VIT, out_type='raw')
    theirs.eval()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(tokens(ours, x), theirs(x)[-1])


@pytest.mark.parametrize('window', [7, 14])
def test_swin_weights_load_in_mmpretrain(window):
    """At 224 pixels MMPretrain uses the same windows in three stages."""
    cfg = dict(
        SWIN,
        window_size=window,
        arch=dict(embed_dims=8, depths=[2, 2, 2], num_heads=[1, 2, 4]))
    ours = IBOTSwin(**cfg, out_indices=(2, )).eval()
    ours.init_weights()
    theirs = SwinTransformer(
        **cfg, out_indices=(2, ), norm_cfg=dict(type='LN', eps=1e-6))
    theirs.eval()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(1, 3, 224, 224)
    # Only the eps of inner norms differs (1e-6 here, 1e-5 there).
    torch.testing.assert_close(ours(x)[0], theirs(x)[0], atol=1e-3, rtol=1e-3)


def test_swin_window_14_shrinks_in_the_last_stage():
    model = IBOTSwin('tiny', window_size=14)
    windows = [
        [(b.attn.window_size, b.attn.shift_size) for b in stage.blocks[:2]]
        for stage in model.stages
    ]
    assert windows == [[(14, 0), (14, 7)], [(14, 0), (14, 7)],
                       [(14, 0), (14, 0)], [(7, 0), (7, 0)]]


def test_swin_tokens_equal_the_feature_map(swin):
    x = torch.randn(1, 3, 224, 224)
    cls, patch = swin.extract_tokens(x)
    feature_map = swin(x)[-1]
    assert feature_map.shape == (1, 64, 7, 7)
    torch.testing.assert_close(feature_map.flatten(2).transpose(1, 2), patch)
    torch.testing.assert_close(feature_map.mean((2, 3)), cls)


@pytest.mark.parametrize('size', [(224, 160), (96, 96), (100, 70)])
def test_vit_takes_any_input_size_and_channels(size):
    model = IBOTViT('tiny', in_channels=6, with_mask_token=True)
    grid = -(-size[0] // 16), -(-size[1] // 16)
    x = torch.randn(1, 6, *size)
    mask = torch.zeros(1, *grid, dtype=torch.bool)
    mask[..., 0] = True
    cls, patch = model.extract_tokens(x, mask)
    assert cls.shape == (1, 192)
    assert patch.shape == (1, grid[0] * grid[1], 192)


def test_mask_replaces_the_embedding_of_masked_patches_only(vit):
    """With attention off, a masked patch cannot see its pixels, others do."""
    for layer in vit.layers:
        torch.nn.init.zeros_(layer.attn.proj.weight)
    mask = golden.tensor('vit_misc', 'mask')
    x = golden.tensor('vit_misc', 'x64')
    other = torch.randn_like(x)
    a, b = (vit.extract_tokens(images, mask)[1] for images in (x, other))
    same = (a - b).abs().amax(-1) < 1e-5
    assert torch.equal(same, mask.flatten(1))


@pytest.mark.parametrize('model', [
    IBOTViT('tiny', with_mask_token=True),
    IBOTSwin('tiny', with_mask_token=True)
])
def test_initialization(model):
    model.init_weights()
    state = model.state_dict()
    for name, value in state.items():
        if name.endswith('bias') and 'patch_embed.projection' not in name:
            assert not value.any(), name
        elif (value.ndim == 2 and value.is_floating_point()
              and 'bias_table' not in name):
            assert abs(value.std() - 0.02) < 0.004, name
    assert not model.mask_token.any()
    conv = model.patch_embed.projection.weight
    # The convolution keeps torch's default: uniform within 1 / sqrt(fan in).
    bound = conv[0].numel()**-0.5
    assert abs(conv.abs().max() - bound) < 0.05 * bound
    norms = [m for m in model.modules() if isinstance(m, torch.nn.LayerNorm)]
    assert norms and all(m.eps == 1e-6 for m in norms)


def test_vit_position_and_cls_are_drawn():
    model = IBOTViT('small', num_register_tokens=4,
                    layer_scale_init_value=1e-5)
    model.init_weights()
    assert abs(model.register_tokens.std() - 0.02) < 0.002
    assert torch.all(model.layers[3].attn.gamma1.weight == 1e-5)
    assert torch.all(model.layers[3].ffn.gamma2.weight == 1e-5)
    assert abs(model.pos_embed.std() - 0.02) < 0.001
    assert abs(model.cls_token.std() - 0.02) < 0.004


@pytest.mark.parametrize('cls', [IBOTViT, IBOTSwin])
def test_train_returns_the_module(cls):
    model = cls('tiny')
    assert model.train() is model and model.training
    assert not model.eval().training


@pytest.mark.parametrize('cls,shape', [(IBOTViT, (14, 14)),
                                       (IBOTSwin, (7, 7))])
def test_mask_without_token_raises(cls, shape):
    with pytest.raises(ValueError, match='with_mask_token=True'):
        cls('tiny').extract_tokens(
            torch.zeros(1, 3, 224, 224),
            torch.ones(1, *shape, dtype=torch.bool))


def test_swin_rejects_options_that_it_sets():
    with pytest.raises(TypeError, match='pad_small_map'):
        IBOTSwin('tiny', pad_small_map=False)


def test_drop_path_is_active_on_all_crops():
    model = IBOTViT(**VIT, drop_path_rate=0.9).train()
    x = torch.from_numpy(
        np.random.default_rng(0).normal(size=(8, 3, 32, 32))).float()
    a, b = (model.extract_tokens(x)[0] for _ in range(2))
    assert not torch.allclose(a, b)
    model.eval()
    a, b = (model.extract_tokens(x)[0] for _ in range(2))
    assert torch.equal(a, b)


@pytest.mark.parametrize('method', ['extract_tokens', 'extract_cls'])
def test_images_of_other_channels_are_an_error(method):
    vit = IBOTViT('tiny', img_size=64)
    with pytest.raises(ValueError, match='in_channels'):
        getattr(vit, method)(torch.zeros(2, 4, 64, 64))
