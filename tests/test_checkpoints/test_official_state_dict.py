"""Official-format files made of the reference weights, and back."""

from argparse import Namespace

import pytest
import torch

from ibot_mm.checkpoints.load import CheckpointError, load_checkpoint
from ibot_mm.checkpoints.official.state_dict import (
    from_official,
    from_official_checkpoint,
    to_official,
    to_official_checkpoint,
)
from ibot_mm.models import IBOT, IBOTViT
from tests.helpers import golden
from tests.helpers.builders import model_config
from tests.helpers.in_process import run_tool


def raw(name, prefix):
    """Official weights in official names."""
    return {
        key[len(prefix):]: golden.tensor(name, key)
        for key in golden.load(name) if key.startswith(prefix)
    }


def official(case='shared'):
    """A full checkpoint as the official code saves it."""
    name = f'train_{case}_init'
    centers = torch.arange(
        golden.meta(f'train_{case}_final')['args']['out_dim']).float()
    return dict(
        student={f'module.{k}': v for k, v in raw(name, 'student0/').items()},
        teacher=raw(name, 'teacher0/'),
        epoch=3,
        args=Namespace(arch='vit_small', lr=0.1),
        ibot_loss=dict(center=centers.view(1, -1),
                       center2=-centers.view(1, 1, -1)))


@pytest.mark.parametrize('name', ['vit_misc', 'swin_w7'])
def test_backbones_there_and_back_bit_by_bit(name):
    weights = raw(name, 'w/')
    back = to_official(from_official(weights))
    assert list(back) == list(weights)
    assert all(torch.equal(back[k], v) for k, v in weights.items())


@pytest.mark.parametrize('case', ['shared', 'semi_shared'])
def test_full_checkpoints_there_and_back_bit_by_bit(case):
    checkpoint = official(case)
    back = to_official_checkpoint(from_official_checkpoint(checkpoint))
    for network in ('student', 'teacher', 'ibot_loss'):
        assert set(back[network]) == set(checkpoint[network])
        for key, value in checkpoint[network].items():
            assert torch.equal(back[network][key], value), key


def build(case):
    arch = golden.meta(f'train_{case}_final')['model']
    shared = case == 'shared'
    prototypes = golden.meta(f'train_{case}_final')['args']['out_dim']
    cfg = model_config(
        backbone=dict(
            arch=dict(embed_dims=arch['embed_dim'], num_layers=arch['depth'],
                      num_heads=arch['heads'],
                      feedforward_channels=4 * arch['embed_dim']),
            img_size=arch['img'], patch_size=arch['patch']),
        neck=dict(in_channels=48, hidden_channels=64, bottleneck_channels=32,
                  num_prototypes=prototypes, shared_head=shared),
        teacher_neck=dict(shared_head=True),
        head=dict(num_prototypes=prototypes))
    cfg.pop('type')
    return IBOT(**cfg)


@pytest.mark.cli
@pytest.mark.parametrize('case', ['shared', 'semi_shared'])
def test_command_lines(case, tmp_path):
    """Files: official -> ours, loaded without a missing key -> official."""
    source, ours, back = (str(tmp_path / f'{n}.pth') for n in 'abc')
    torch.save(official(case), source)
    for script, *files in (('ibot_to_mm', source, ours),
                           ('mm_to_ibot', ours, back)):
        run_tool(f'model_converters/{script}.py', *files)
    model = build(case)
    model.load_state_dict(load_checkpoint(ours)['state_dict'], strict=True)
    k = len(model.head.center.value)
    assert torch.equal(model.head.center.value, torch.arange(k).float())
    assert torch.equal(model.head.patch_center.value, -torch.arange(k).float())
    for network, values in load_checkpoint(back).items():
        for key, value in values.items():
            assert torch.equal(value, official(case)[network][key])


def test_tokens_of_a_converted_backbone():
    state = from_official_checkpoint(dict(state_dict=raw('vit_misc', 'w/')))
    assert all(name.startswith('backbone.') for name in state)
    weights = {k[len('backbone.'):]: v for k, v in state.items()}
    model = IBOTViT(
        arch=dict(embed_dims=48, num_layers=2, num_heads=3,
                  feedforward_channels=192),
        img_size=64, patch_size=8, with_mask_token=True).eval()
    model.load_state_dict(weights, strict=True)
    cls, patch = model.extract_tokens(golden.tensor('vit_misc', 'x64'))
    torch.testing.assert_close(
        torch.cat([cls.unsqueeze(1), patch], 1),
        golden.tensor('vit_misc', 'tokens'), atol=1e-5, rtol=0)


def test_one_network():
    state = from_official_checkpoint(official(), ['teacher'])
    assert {k.split('.')[0] for k in state} == {'teacher', 'head'}


def test_truncated_and_foreign_checkpoints(tmp_path):
    path = tmp_path / 'x.pth'
    torch.save(official(), path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match='x.pth" cannot be read'):
        load_checkpoint(str(path))
    with pytest.raises(CheckpointError, match='no official iBOT.*fc.weight'):
        from_official_checkpoint({'fc.weight': torch.zeros(1)})
    with pytest.raises(CheckpointError, match='has no "teacher"'):
        from_official_checkpoint(dict(student=official()['student']))
    with pytest.raises(CheckpointError, match='has no student'):
        to_official_checkpoint({'head.center.value': torch.zeros(3)})
