"""Feature maps for detection and segmentation, and frozen backbones."""

import pytest
import torch
import torch.nn.functional as F

from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.models import IBOTSwin, IBOTViT

VIT = dict(
    arch=dict(
        embed_dims=24, num_layers=4, num_heads=2, feedforward_channels=48),
    img_size=64,
    patch_size=8,
    out_type='featmap')
SWIN = dict(
    arch=dict(embed_dims=8, depths=[1, 2, 1], num_heads=[1, 2, 4]),
    img_size=112,
    out_indices=(0, 1, 2))


def build(cls=IBOTViT, **settings):
    """A backbone in which no parameter is 0 or 1."""
    model = cls(**{**(VIT if cls is IBOTViT else SWIN), **settings})
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.data = torch.randn(
            parameter.shape, generator=generator) * 0.2
    return model.eval()


def as_tokens(feature_map):
    return feature_map.flatten(2).transpose(1, 2)


@pytest.mark.parametrize('settings', [
    dict(), dict(with_cp=True), dict(drop_path_rate=0.5),
    dict(drop_path_rate=0.5, drop_path_type='batch')])
def test_maps_are_the_tokens_on_their_grid(settings):
    """Square, not square and padded images through one instance."""
    model = build(out_indices=(1, -1), **settings)
    for size, grid in (((64, 64), (8, 8)), ((32, 72), (4, 9)),
                       ((30, 45), (4, 6)), ((5, 8), (1, 1)),
                       ((64, 64), (8, 8))):
        x = torch.randn(2, 3, *size)
        outs = model(x)
        assert [o.shape for o in outs] == [(2, 24, *grid)] * 2
        assert all(o.is_contiguous() for o in outs)
        tokens = model.extract_tokens(x)[1]
        # Token i lies in row i // w, column i % w.
        for row in range(grid[0]):
            for column in range(grid[1]):
                torch.testing.assert_close(
                    outs[-1][:, :, row, column],
                    tokens[:, row * grid[1] + column])
        assert not torch.allclose(outs[0], outs[1])


def test_maps_are_contiguous_for_channels_last_images():
    x = torch.randn(2, 3, 32, 48).to(memory_format=torch.channels_last)
    assert all(o.is_contiguous() for o in build(out_indices=[0, 3])(x))


@pytest.mark.parametrize('cls,size,padded', [
    (IBOTViT, (30, 45), (32, 48)), (IBOTViT, (33, 40), (40, 40)),
    (IBOTSwin, (54, 109), (56, 112))])
def test_images_are_padded_at_the_right_and_the_bottom(cls, size, padded):
    x = torch.randn(1, 3, *size)
    by_hand = torch.zeros(1, 3, *padded)
    by_hand[..., :size[0], :size[1]] = x
    model = build(cls)
    for ours, expected in zip(model(x), model(by_hand)):
        torch.testing.assert_close(ours, expected)
    for ours, expected in zip(model.extract_tokens(x),
                              model.extract_tokens(by_hand)):
        torch.testing.assert_close(ours, expected)


def test_swin_maps_have_the_strides_of_their_stages():
    for size in ((112, 112), (50, 75)):
        shapes = [o.shape for o in build(IBOTSwin)(torch.randn(2, 3, *size))]
        grids = [tuple(-(-s // stride) for s in size) for stride in (4, 8, 16)]
        assert shapes == [
            (2, 8 * 2**i, *grid) for i, grid in enumerate(grids)]


@pytest.mark.parametrize('flags', [
    True, (True, False, False), (False, True, True), (True, False, True)])
def test_norm_of_each_output(flags):
    x = torch.randn(2, 3, 40, 48)
    model = build(out_indices=[0, 2, 3], out_with_norm=flags)
    outs = model(x)
    normed = [tokens for _, tokens in model.extract_last_blocks(x, 4)]
    plain = build(final_norm=False)
    plain.load_state_dict({k: v for k, v in model.state_dict().items()
                           if not k.startswith('ln1.')})
    plain = [tokens for _, tokens in plain.extract_last_blocks(x, 4)]
    flags = [True] * 3 if flags is True else flags
    for out, index, flag in zip(outs, (0, 2, 3), flags):
        expected, other = (normed, plain) if flag else (plain, normed)
        torch.testing.assert_close(as_tokens(out), expected[index])
        assert not torch.allclose(as_tokens(out), other[index], atol=1e-2)


def test_without_setting_only_the_last_output_is_normed():
    x = torch.randn(1, 3, 32, 32)
    default, written = build(out_indices=[1, 3]), build(
        out_indices=[1, 3], out_with_norm=[False, True])
    for ours, expected in zip(default(x), written(x)):
        torch.testing.assert_close(ours, expected)


def test_negative_indices():
    x = torch.randn(1, 3, 32, 32)
    indices = (-4, -2, -1)
    for ours, expected in zip(build(out_indices=indices)(x),
                              build(out_indices=[0, 2, 3])(x)):
        torch.testing.assert_close(ours, expected)
    assert indices == (-4, -2, -1)


def test_every_parameter_has_a_gradient_without_norm():
    model = build(out_indices=[0, 1, 2, 3], out_with_norm=False).train()
    sum(o.square().sum() for o in model(torch.randn(2, 3, 40, 40))).backward()
    assert all(p.grad is not None and p.grad.any()
               for p in model.parameters())
    assert not hasattr(model, 'ln1')


@pytest.mark.parametrize('how', ['file', 'detector'])
def test_a_checkpoint_with_norm_loads_where_there_is_none(tmp_path, how):
    source = build()
    path = str(tmp_path / 'ckpt.pth')
    torch.save(source.state_dict(), path)
    model = build(out_with_norm=False, init_cfg=dict(
        type='Pretrained', checkpoint=path))
    assert 'ln1.weight' in source.state_dict()
    if how == 'file':
        model.init_weights()
    else:  # with a prefix, as part of a detector
        torch.nn.ModuleDict(dict(backbone=model)).load_state_dict(
            {f'backbone.{k}': v for k, v in source.state_dict().items()})
    for name, value in model.state_dict().items():
        assert torch.equal(value, source.state_dict()[name]), name


def test_checkpoint_without_the_norm_of_the_model_raises(tmp_path):
    path = str(tmp_path / 'ckpt.pth')
    torch.save(build(out_with_norm=False).state_dict(), path)
    model = build(init_cfg=dict(type='Pretrained', checkpoint=path))
    with pytest.raises(CheckpointError, match='ln1.bias'):
        model.init_weights()


def test_norms_of_earlier_swin_stages_are_newly_initialized(tmp_path):
    path = str(tmp_path / 'ckpt.pth')
    source = build(IBOTSwin, out_indices=(2, ))
    torch.save(source.state_dict(), path)
    model = IBOTSwin(**SWIN, init_cfg=dict(type='Pretrained',
                                           checkpoint=path))
    model.init_weights()
    state = source.state_dict()
    for name, value in model.state_dict().items():
        if name.startswith(('norm0.', 'norm1.')):
            assert torch.all(value == float(name.endswith('weight'))), name
        else:
            assert torch.equal(value, state[name]), name
    # The last norm is part of the pre-training and must be present.
    del state['norm2.weight']
    torch.save(state, path)
    with pytest.raises(CheckpointError, match='norm2.weight'):
        model.init_weights()


STEM = ('patch_embed.', 'cls_token', 'pos_embed', 'mask_token')
# Settings and the prefixes of the parameters that they freeze.
FROZEN = [
    (IBOTViT, dict(frozen_stages=0), STEM),
    (IBOTViT, dict(frozen_stages=2), (*STEM, 'layers.0.', 'layers.1.')),
    (IBOTViT, dict(frozen_stages=4), ('', )),
    (IBOTViT, dict(frozen_stages=1, num_register_tokens=2,
                   layer_scale_init_value=1e-5),
     (*STEM, 'register_tokens', 'layers.0.')),
    (IBOTViT, dict(frozen_stages=3, drop_path_type='batch'),
     (*STEM, 'layers.0.', 'layers.1.', 'layers.2.')),
    (IBOTViT, dict(frozen_stages=2, with_cp=True),
     (*STEM, 'layers.0.', 'layers.1.')),
    (IBOTViT, dict(frozen_stages=-1), ()),
    (IBOTSwin, dict(frozen_stages=0), (*STEM, 'stages.0.', 'norm0.')),
    (IBOTSwin, dict(frozen_stages=1, with_cp=True),
     (*STEM, 'stages.0.', 'stages.1.', 'norm0.', 'norm1.')),
    (IBOTSwin, dict(frozen_stages=2), ('', )),
    (IBOTSwin, dict(frozen_stages=-1), ()),
]


@pytest.mark.parametrize('cls,settings,frozen', FROZEN)
def test_frozen_parameters(cls, settings, frozen):
    """Frozen on construction, before the optimizer and DDP are built."""
    model = cls(**{**(VIT if cls is IBOTViT else SWIN), **settings},
                with_mask_token=True)
    expected = {n for n, _ in model.named_parameters()
                if frozen and n.startswith(frozen)}
    for _ in range(2):
        assert expected == {n for n, p in model.named_parameters()
                            if not p.requires_grad}
        model.train()


@pytest.mark.parametrize('cls,settings,frozen', FROZEN)
def test_frozen_modules_stay_in_eval_mode(cls, settings, frozen):
    model = build(cls, drop_path_rate=0.9, drop_rate=0.5, **settings)
    model.train()
    model.eval()
    model.train()
    for name, module in model.named_modules():
        if name not in ('', 'layers', 'stages') and list(module.parameters()):
            is_frozen = bool(frozen) and f'{name}.'.startswith(frozen)
            inside = [m.training for m in module.modules()]
            assert not is_frozen or not any(inside), name
            assert is_frozen or module.training, name
    assert model.drop_after_pos.training == (not frozen)


@pytest.mark.parametrize('cls,settings,layer', [
    (IBOTViT, dict(frozen_stages=2), 'layers.1'),
    (IBOTViT, dict(frozen_stages=2, drop_path_type='batch'), 'layers.1'),
    (IBOTViT, dict(frozen_stages=2, with_cp=True), 'layers.1'),
    (IBOTSwin, dict(frozen_stages=1), 'stages.1')])
def test_frozen_layers_drop_nothing_and_others_do(cls, settings, layer):
    model = build(cls, drop_path_rate=0.9, drop_rate=0.5, **settings)
    seen = []
    model.get_submodule(layer).register_forward_hook(
        lambda m, i, o: seen.append(o[0] if isinstance(o, tuple) else o))
    x = torch.randn(8, 3, 56, 56)
    model(x)
    model.train()
    outs = [model(x)[-1] for _ in range(2)]
    assert torch.equal(seen[0], seen[1]) and torch.equal(seen[0], seen[2])
    assert not torch.allclose(*outs)


@pytest.mark.parametrize('cls,highest', [(IBOTViT, 4), (IBOTSwin, 2)])
def test_a_wholly_frozen_backbone_is_deterministic(cls, highest):
    model = build(cls, frozen_stages=highest, drop_path_rate=0.9)
    x = torch.randn(4, 3, 56, 56)
    expected = model(x)
    model.train()
    for ours, reference in zip(model(x), expected):
        assert torch.equal(ours, reference) and not ours.requires_grad


@pytest.mark.parametrize('cls', [IBOTViT, IBOTSwin])
@pytest.mark.parametrize('frozen_stages', [-1, 1])
def test_gradients_with_and_without_checkpointing(cls, frozen_stages):
    grads = []
    x = torch.randn(4, 3, 56, 60)
    for with_cp in (False, True):
        model = build(cls, with_cp=with_cp, frozen_stages=frozen_stages,
                      drop_path_rate=0.5).train()
        torch.manual_seed(3)
        sum(F.softplus(o).mean() for o in model(x)).backward()
        grads.append({n: p.grad for n, p in model.named_parameters()})
    assert any(g is not None and g.any() for g in grads[0].values())
    for name, grad in grads[0].items():
        other = grads[1][name]
        if grad is None:
            assert other is None
        else:
            torch.testing.assert_close(other, grad)


@pytest.mark.parametrize('settings,wrong', [
    (dict(out_indices=[3, 1]), r'out_indices.*\[3, 1\]'),
    (dict(out_indices=[4]), r'out_indices.*3.*\[4\]'),
    (dict(out_indices=[1, 3], out_with_norm=[True]), 'out_with_norm'),
    (dict(out_with_norm=True, final_norm=False), 'final_norm=False'),
    (dict(frozen_stages=5), 'frozen_stages.* 4.* 5'),
])
def test_invalid_options_raise(settings, wrong):
    with pytest.raises(ValueError, match=wrong):
        IBOTViT(**{**VIT, **settings})


def test_swin_rejects_a_stage_out_of_range():
    with pytest.raises(ValueError, match='frozen_stages.* 2.* 3'):
        IBOTSwin(**SWIN, frozen_stages=3)
