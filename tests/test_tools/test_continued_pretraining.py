"""Pre-training from a backbone, with the heads alone at first."""

import pytest
import torch
from mmengine.config import Config

from ibot_mm.registry import MODELS
from tests.helpers.in_process import train
from tests.helpers.launched import EPOCH
from tests.helpers.resumed import STOP, assert_same_end, resumable_config

FROZEN = 2  # epochs; STOP is in the second


def parts(path):
    """Weights of student and teacher, and the optimizer's state."""
    content = torch.load(path, weights_only=False)
    state = content['state_dict']
    return state, {name.removeprefix('teacher.'): value
                   for name, value in state.items()
                   if name.startswith('teacher.')}, content['optimizer']


@pytest.mark.slow
@pytest.mark.parametrize('processes', [1, 2])
def test_the_backbone_waits_for_the_heads(shapes, tmp_path, processes):
    pretrained = tmp_path / 'backbone.pth'
    config = resumable_config(tmp_path / 'tiny.py', shapes, processes, f'''
model['backbone']['init_cfg'] = dict(
    type='Pretrained', checkpoint='{pretrained}')
optim_wrapper.update(
    constructor='ibot_mm.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.5, decay_embeddings=True))
default_hooks.update(
    freeze_backbone=dict(type='ibot_mm.FreezeBackboneHook', epochs={FROZEN}),
    teacher_ema=dict(still_epochs={FROZEN}))
''')
    torch.manual_seed(5)
    backbone = MODELS.build(dict(
        Config.fromfile(config).model.backbone, init_cfg=None,
        with_mask_token=False))
    backbone.init_weights()
    given = {f'backbone.{k}': v for k, v in backbone.state_dict().items()}
    torch.save(dict(state_dict=given), pretrained)

    full, resumed = tmp_path / 'full', tmp_path / 'resumed'
    train(config, full, processes=processes)
    student, teacher, optimizer = parts(full / f'iter_{STOP}.pth')
    for name, value in given.items():
        assert torch.equal(student[name], value), name
    for name, value in teacher.items():
        if name.startswith('backbone.'):
            assert torch.equal(value, given[name]), name
    # Heads of student and teacher are equal at the start.
    moved = [name for name, value in teacher.items()
             if not torch.equal(value, student[name])]
    assert 'neck.mlp.0.weight' in moved
    assert len(optimizer['state']) < len(given)

    student, teacher, _ = parts(full / f'iter_{3 * EPOCH}.pth')
    for name in ('backbone.layers.1.attn.qkv.weight', 'backbone.ln1.bias'):
        assert not torch.equal(student[name], given[name]), name
        assert not torch.equal(teacher[name], given[name]), name

    train(config, resumed, '--resume', full / f'iter_{STOP}.pth',
          processes=processes)
    assert_same_end(full, resumed)
