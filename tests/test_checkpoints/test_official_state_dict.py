"""Official-format files made of the reference weights, and back."""

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from ibot_mm.checkpoints.load import CheckpointError, Ignored, load_checkpoint
from ibot_mm.checkpoints.official.state_dict import (
    from_official,
    from_official_checkpoint,
    to_official,
    to_official_checkpoint,
)
from ibot_mm.models import IBOT, IBOTViT
from tests import golden
from tests.builders import model_config

ROOT = Path(__file__).parents[2]


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
    for side in ('student', 'teacher', 'ibot_loss'):
        assert set(back[side]) == set(checkpoint[side])
        for key, value in checkpoint[side].items():
            assert torch.equal(back[side][key], value), key


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


@pytest.mark.parametrize('case', ['shared', 'semi_shared'])
def test_command_lines(case, tmp_path):
    """Files: official -> ours, loaded without a missing key -> official."""
    source, ours, back = (str(tmp_path / f'{n}.pth') for n in 'abc')
    torch.save(official(case), source)
    for script, *files in (('ibot_to_mm', source, ours),
                           ('mm_to_ibot', ours, back)):
        subprocess.run(
            [sys.executable,
             str(ROOT / 'tools' / 'model_converters' / f'{script}.py'),
             *files], check=True, capture_output=True)
    model = build(case)
    model.load_state_dict(load_checkpoint(ours)['state_dict'], strict=True)
    k = len(model.head.center)
    assert torch.equal(model.head.center, torch.arange(k).float())
    assert torch.equal(model.head.patch_center, -torch.arange(k).float())
    for side, values in load_checkpoint(back).items():
        for key, value in values.items():
            assert torch.equal(value, official(case)[side][key])


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


def test_one_side():
    state = from_official_checkpoint(official(), ['teacher'])
    assert {k.split('.')[0] for k in state} == {'teacher', 'head'}


@pytest.mark.parametrize('content,message', [
    (b'<!DOCTYPE html><html></html>', 'not a web page'),
    (b'', 'cannot be read'),
])
def test_files_that_are_no_checkpoints(tmp_path, content, message):
    path = tmp_path / 'x.pth'
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(str(path))
    with pytest.raises(CheckpointError, match='there is no checkpoint'):
        load_checkpoint(str(tmp_path / 'nowhere.pth'))


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
        to_official_checkpoint({'head.center': torch.zeros(3)})


class Command:
    """Unpickled as it should not be, it would leave a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f'touch {self.path}', )


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    path, trace = tmp_path / 'x.pth', tmp_path / 'trace'
    torch.save(
        dict(student=torch.ones(2), extra=[Command(trace)],
             log=HistoryBuffer([1.], [1])), path)
    state = load_checkpoint(str(path))
    assert torch.equal(state['student'], torch.ones(2))
    assert not trace.exists()
    torch.load(path, weights_only=False)  # what a careless reader would do
    assert trace.exists()


def test_plain_values_and_types_of_tensors_survive(tmp_path):
    state = dict(
        half=torch.ones(2).half(), index=torch.arange(3), epoch=3,
        shape=torch.Size([1, 2]), args=Namespace(lr=0.1),
        weight=torch.nn.Parameter(torch.zeros(1)),
        rate=np.float64(0.1), count=np.int64(-7), text=np.str_('a'))
    torch.save(state, tmp_path / 'x.pth')
    loaded = load_checkpoint(str(tmp_path / 'x.pth'))
    assert loaded['args'].lr == 0.1 and loaded['epoch'] == 3
    assert loaded['half'].dtype == torch.float16
    assert loaded['index'].tolist() == [0, 1, 2]
    assert loaded['shape'] == (1, 2) and float(loaded['weight']) == 0
    assert type(loaded['rate']) is float and loaded['rate'] == 0.1
    assert type(loaded['count']) is int and loaded['count'] == -7
    assert isinstance(loaded['text'], Ignored)
