"""Learning rate and decay of every parameter, against the rule by hand."""

import math

import pytest
import torch
from mmengine.config import Config

import ibot_mm
from ibot_mm.engine import LayerDecayOptimWrapperConstructor
from ibot_mm.registry import MODELS
from tests.helpers.builders import ARCH, build_model

CONFIGS = 'benchmarks/classification/finetune/'
# Depth, rate of the decay and the learning rate of some layers, worked out
# from lr x rate^(depth + 1 - layer) with lr = 1e-3.
TABLE = {
    'ibot_vit-small-p16_finetune-8xb128-200e_in1k': dict(
        depth=12, rate=0.75, width=384,
        lrs={0: 2.375726e-5, 1: 3.167635e-5, 6: 1.334839e-4,
             12: 7.5e-4, 13: 1e-3}),
    'ibot_vit-base-p16_finetune-8xb128-100e_in1k': dict(
        depth=12, rate=0.65, width=768,
        lrs={0: 3.697205e-6, 1: 5.688009e-6, 6: 4.902228e-5,
             12: 6.5e-4, 13: 1e-3}),
    'ibot_vit-large-p16_finetune-8xb64-acc2-50e_in1k': dict(
        depth=24, rate=0.75, width=1024,
        lrs={0: 7.525435e-7, 1: 1.003391e-6, 12: 2.375726e-5,
             24: 7.5e-4, 25: 1e-3}),
}


def expected(depth):
    """Layer and decay (0.05 or 0) of each parameter, written out."""
    table = {
        'backbone.cls_token': (0, 0.), 'backbone.pos_embed': (0, 0.),
        'backbone.patch_embed.projection.weight': (0, 0.05),
        'backbone.patch_embed.projection.bias': (0, 0.),
        'backbone.ln1.weight': (depth + 1, 0.),
        'backbone.ln1.bias': (depth + 1, 0.),
        'head.fc.weight': (depth + 1, 0.05), 'head.fc.bias': (depth + 1, 0.),
    }
    for i in range(depth):
        for name, decay in (('ln1', 0.), ('ln2', 0.), ('attn.qkv', 0.05),
                            ('attn.proj', 0.05), ('ffn.layers.0.0', 0.05),
                            ('ffn.layers.1', 0.05)):
            table[f'backbone.layers.{i}.{name}.weight'] = (i + 1, decay)
            table[f'backbone.layers.{i}.{name}.bias'] = (i + 1, 0.)
    return table


@pytest.mark.parametrize('name', list(TABLE))
def test_groups_of_the_published_models(name):
    row = TABLE[name]
    cfg = Config.fromfile(ibot_mm.config_path(f'{CONFIGS}{name}.py'))
    backbone = dict(cfg.model.backbone, init_cfg=None)
    with torch.device('meta'):
        model = torch.nn.Module()
        model.backbone = MODELS.build(backbone)
        model.head = torch.nn.Module()
        model.head.fc = torch.nn.Linear(row['width'], 1000)
    constructor = LayerDecayOptimWrapperConstructor(
        cfg.optim_wrapper, cfg.optim_wrapper.paramwise_cfg)
    optimizer = torch.optim.AdamW(
        constructor.groups(model), lr=1e-3, weight_decay=0.05)
    # The log shows the learning rate of the config.
    assert optimizer.param_groups[0]['lr'] == 1e-3
    names = {id(p): n for n, p in model.named_parameters()}
    found = {
        names[id(p)]: (group['lr'], group['weight_decay'])
        for group in optimizer.param_groups for p in group['params']
    }
    table = expected(row['depth'])
    assert set(found) == set(table)
    for key, (layer, decay) in table.items():
        lr = 1e-3
        for _ in range(row['depth'] + 1 - layer):
            lr *= row['rate']
        assert found[key] == (pytest.approx(lr, rel=1e-9), decay), key
        if layer in row['lrs']:
            assert found[key][0] == pytest.approx(row['lrs'][layer], rel=1e-6)
    assert len(optimizer.param_groups) == 2 * (row['depth'] + 2)


def test_register_tokens_and_layer_scale():
    """Registers are in layer 0 of 4, the mask token in the last."""
    model = torch.nn.Module()
    model.backbone = MODELS.build(dict(
        type='ibot_mm.IBOTViT', arch=ARCH, num_register_tokens=2,
        layer_scale_init_value=1e-5, with_mask_token=True))
    groups = LayerDecayOptimWrapperConstructor(
        dict(optimizer=dict(type='AdamW', lr=1.)),
        dict(layer_decay_rate=0.5)).groups(model)
    names = {id(p): n for n, p in model.named_parameters()}
    found = {names[id(p)]: (g['lr'], g.get('weight_decay'))
             for g in groups for p in g['params']}
    assert found['backbone.register_tokens'] == (1 / 8, 0.)
    assert found['backbone.mask_token'] == (1., None)
    assert found['backbone.layers.0.attn.gamma1.weight'] == (1 / 4, 0.)
    assert found['backbone.layers.1.ffn.gamma2.weight'] == (1 / 2, 0.)


def test_swin_blocks_are_layers():
    """Layer ids count blocks; a merging belongs to the block before it."""
    model = torch.nn.Module()
    model.backbone = MODELS.build(dict(
        type='ibot_mm.IBOTSwin',
        arch=dict(embed_dims=8, depths=[1, 2], num_heads=[1, 2]),
        img_size=56, out_indices=(1, )))
    model.head = torch.nn.Linear(16, 3)
    groups = LayerDecayOptimWrapperConstructor(
        dict(optimizer=dict(type='AdamW', lr=1.)),
        dict(layer_decay_rate=0.5,
             no_decay_names=['relative_position_bias_table'])).groups(model)
    names = {id(p): n for n, p in model.named_parameters()}
    found = {names[id(p)]: (g['lr'], g.get('weight_decay'))
             for g in groups for p in g['params']}
    block = 'backbone.stages.{}.blocks.{}.attn.w_msa.qkv.weight'
    assert found['backbone.patch_embed.projection.weight'] == (1 / 16, None)
    assert found[block.format(0, 0)] == (1 / 8, None)
    assert found['backbone.stages.0.downsample.reduction.weight'] == (
        1 / 8, None)
    assert found[block.format(1, 0)] == (1 / 4, None)
    assert found[block.format(1, 1)] == (1 / 2, None)
    assert found['head.weight'] == (1, None)
    table = block.format(1, 1).replace('qkv.weight',
                                       'relative_position_bias_table')
    assert found[table] == (1 / 2, 0.)


# Names of a ViT's layer, with whether they are decayed.
LAYER = {'ln1': False, 'ln2': False, 'attn.qkv': True, 'attn.proj': True,
         'ffn.layers.0.0': True, 'ffn.layers.1': True}
DETECTOR = dict(
    neck=lambda: MODELS.build([
        dict(type='ibot_mm.ViTPyramid', in_channels=8),
        dict(type='ibot_mm.SimpleFeaturePyramid', in_channels=8)]),
    rpn_head=lambda: torch.nn.Conv2d(8, 8, 3),
    roi_head=lambda: torch.nn.ModuleList([torch.nn.Linear(8, 8, bias=False),
                                          torch.nn.BatchNorm1d(8)]))
SEGMENTOR = dict(
    neck=lambda: MODELS.build(dict(type='ibot_mm.ViTPyramid', in_channels=8)),
    decode_head=lambda: torch.nn.Conv2d(8, 8, 3),
    auxiliary_head=lambda: torch.nn.Conv2d(8, 8, 1))


@pytest.mark.parametrize('decay_embeddings', [True, False, None])
@pytest.mark.parametrize('parts,with_norm,frozen', [
    (DETECTOR, False, -1), (SEGMENTOR, True, -1), (SEGMENTOR, True, 1)])
def test_detectors_and_segmentors(parts, with_norm, frozen,
                                  decay_embeddings):
    """lr 16, rate 1/2 and 3 layers: 1, 2, 4, 8, and 16 for all the rest."""
    model = torch.nn.Module()
    model.backbone = MODELS.build(dict(
        type='ibot_mm.IBOTViT',
        arch=dict(embed_dims=8, num_layers=3, num_heads=1,
                  feedforward_channels=8),
        img_size=16, patch_size=8, out_type='featmap', out_indices=[0, 1, 2],
        out_with_norm=with_norm, frozen_stages=frozen))
    for name, build in parts.items():
        setattr(model, name, build())
    paramwise = dict(layer_decay_rate=0.5)
    if decay_embeddings is not None:
        paramwise['decay_embeddings'] = decay_embeddings
    wrapper = LayerDecayOptimWrapperConstructor(
        dict(optimizer=dict(type='AdamW', lr=16., weight_decay=0.05)),
        paramwise)(model)
    embeddings = 0.05 if decay_embeddings else 0.
    expected = {
        'backbone.cls_token': (1, embeddings),
        'backbone.pos_embed': (1, embeddings),
        'backbone.patch_embed.projection.weight': (1, 0.05),
        'backbone.patch_embed.projection.bias': (1, 0.)}
    for i in range(3):
        for name, decayed in LAYER.items():
            name = f'backbone.layers.{i}.{name}'
            expected[f'{name}.weight'] = (2**(i + 1), 0.05 * decayed)
            expected[f'{name}.bias'] = (2**(i + 1), 0.)
    if frozen == 1:
        expected = {name: value for name, value in expected.items()
                    if name.startswith(('backbone.layers.1.',
                                        'backbone.layers.2.'))}
    for name, parameter in model.named_parameters():
        if not name.startswith('backbone.') or '.ln1.' in name[:13]:
            expected[name] = (16, 0.05 * (parameter.ndim > 1))
    names = {id(p): n for n, p in model.named_parameters()}
    found = {names[id(p)]: (g['lr'], g['weight_decay'])
             for g in wrapper.optimizer.param_groups for p in g['params']}
    assert found == expected
    assert ('backbone.ln1.weight' in found) == with_norm
    assert sum(len(g['params']) for g in wrapper.optimizer.param_groups) == \
        len(found)


def test_unknown_settings_raise():
    with pytest.raises(ValueError, match='custom_keys'):
        LayerDecayOptimWrapperConstructor(
            dict(optimizer=dict(type='AdamW', lr=1.)),
            dict(custom_keys=dict()))


def test_the_schedule_of_each_layer_ends_at_its_share():
    """Warm-up and cosine by hand, for groups with different peaks."""
    from mmengine.optim import OptimWrapper

    from ibot_mm.engine import WarmupCosineLR
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    wrapper = OptimWrapper(torch.optim.AdamW(
        [dict(params=[weights[0]], lr=1e-3), dict(params=[weights[1]],
                                                  lr=1e-5)], lr=1e-3))
    scheduler = WarmupCosineLR(wrapper, end=10, warmup=3, eta_min_ratio=1e-3,
                               by_epoch=False)
    rates = []
    for _ in range(10):
        rates.append([g['lr'] for g in wrapper.optimizer.param_groups])
        scheduler.step()
    for step, (high, low) in enumerate(rates):
        if step < 3:
            share = step / 2
        else:
            share = 1e-3 + (1 - 1e-3) * 0.5 * (
                1 + math.cos(math.pi * (step - 3) / 7))
        assert high == pytest.approx(1e-3 * share)
        assert low == pytest.approx(1e-5 * share)


def test_a_pre_training_by_hand():
    """Two layers: 0.1 x 0.5^(3 - layer) in the backbone, 0.1 in the heads."""
    model = build_model()
    wrapper = LayerDecayOptimWrapperConstructor(
        dict(type='ibot_mm.PretrainOptimWrapper',
             optimizer=dict(type='AdamW', lr=0.1, weight_decay=0.04)),
        dict(layer_decay_rate=0.5, decay_embeddings=True))(model)
    found = {id(parameter): group
             for group in wrapper.optimizer.param_groups
             for parameter in group['params']}
    names = {name: found.pop(id(parameter))
             for name, parameter in model.named_parameters()
             if parameter.requires_grad}
    assert not found  # nothing of the teacher
    for name, lr, decay in (
            ('backbone.mask_token', 0.1, 0.04),  # new, as the heads
            ('backbone.cls_token', 0.0125, 0.04),
            ('backbone.pos_embed', 0.0125, 0.04),
            ('backbone.patch_embed.projection.bias', 0.0125, 0.),
            ('backbone.layers.0.attn.qkv.weight', 0.025, 0.04),
            ('backbone.layers.1.ln1.weight', 0.05, 0.),
            ('backbone.ln1.weight', 0.1, 0.),
            ('neck.mlp.0.weight', 0.1, 0.04),
            ('neck.last_layer.weight_v', 0.1, 0.04)):
        assert names[name]['lr'] == pytest.approx(lr), name
        assert names[name]['weight_decay'] == decay, name
    assert any(p is model.neck.last_layer.weight_v
               for p in wrapper.last_layer)
