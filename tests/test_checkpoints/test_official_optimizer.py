"""AdamW's state in the numbers of the official code, and back."""

import pytest
import torch

from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.checkpoints.official.optimizer import (
    from_official_optimizer,
    to_official_optimizer,
)
from ibot_mm.checkpoints.official.state_dict import to_official_checkpoint
from tests.helpers import golden
from tests.helpers.builders import build_model, build_stepped

SWIN = dict(
    backbone=dict(
        type='ibot_mm.IBOTSwin',
        arch=dict(embed_dims=8, depths=[1, 2], num_heads=[1, 2]),
        img_size=56, patch_size=4, out_indices=(1, )),
    neck=dict(in_channels=16, shared_head=False, norm_last_layer=True))
BATCH_NORM = dict(neck=dict(norm_cfg=dict(type='BN1d'), num_layers=4))
MODELS = pytest.mark.parametrize(
    'changes', [
        dict(neck=dict(norm_last_layer=False)),
        dict(neck=dict(norm_last_layer=True, shared_head=False)), SWIN,
        BATCH_NORM
    ], ids=['shared', 'semi_shared', 'swin', 'batch_norm'])


@MODELS
def test_there_and_back_bit_by_bit(changes):
    model, wrapper = build_stepped(**changes)
    checkpoint = dict(state_dict=model.state_dict(),
                      optimizer=wrapper.state_dict())
    official = dict(
        to_official_checkpoint(checkpoint['state_dict']),
        optimizer=to_official_optimizer(checkpoint))
    trainable = {name: parameter for name, parameter in
                 model.named_parameters() if parameter.requires_grad}
    states = from_official_optimizer(official, trainable)
    assert set(states) == set(trainable)
    steps = set()
    for name, parameter in trainable.items():
        expected = wrapper.optimizer.state[parameter]
        for key in ('step', 'exp_avg', 'exp_avg_sq'):
            assert torch.equal(states[name][key], expected[key]), name
        steps.add((int(states[name]['step']), 'last_layer' in name))
    assert steps == {(2, False), (1, True)}


@MODELS
def test_official_moments_are_laid_out_as_the_weights(changes):
    """In the order of the keys: each tells its weight (``build_stepped``)."""
    model, wrapper = build_stepped(**changes)
    checkpoint = dict(state_dict=model.state_dict(),
                      optimizer=wrapper.state_dict())
    student = to_official_checkpoint(checkpoint['state_dict'])['student']
    optimizer = to_official_optimizer(checkpoint)
    fixed = model.neck.last_layer.weight_g.requires_grad is False
    shared = model.neck.shared_head
    groups = [], []
    for name, value in student.items():
        if not (name.endswith(('index', 'running_mean', 'running_var',
                               'num_batches_tracked'))
                or fixed and name.endswith('weight_g')
                or shared and 'last_layer2' in name
                # The second and the third position of the head's norm.
                or 'norm_cfg' in changes['neck']
                and name.startswith(('module.head.mlp.4.',
                                     'module.head.mlp.7.'))):
            groups[name.endswith('.bias') or value.ndim == 1].append(name)
    numbers = [group['params'] for group in optimizer['param_groups']]
    assert [len(group) for group in numbers] == [len(g) for g in groups]
    assert sum(numbers, []) == list(range(len(sum(groups, []))))
    for number, name in enumerate(sum(groups, [])):
        state = optimizer['state'][number]
        assert torch.equal(state['exp_avg'], student[name] * 2), name
        assert torch.equal(state['exp_avg_sq'], student[name].square()), name
        assert isinstance(state['step'], int)


@pytest.mark.parametrize('name,prefix,changes', [
    ('train_shared_init', 'student0/backbone.', dict()),
    ('swin_w7', 'w/', dict(
        backbone=dict(
            type='ibot_mm.IBOTSwin', img_size=224, patch_size=4,
            arch=dict(embed_dims=8, depths=[2, 2, 2, 2],
                      num_heads=[1, 2, 4, 8])),
        neck=dict(in_channels=64)))
], ids=['vit', 'swin'])
def test_weights_are_written_in_the_official_order(name, prefix, changes):
    """A reference file has the order of the official modules."""
    expected = [key[len(prefix):] for key in golden.load(name)
                if key.startswith(prefix)]
    written = to_official_checkpoint(
        build_model(**changes).state_dict())['student']
    assert [name[len('module.backbone.'):] for name in written
            if 'backbone' in name and 'index' not in name] == expected
    assert [name for name in written if 'last_layer' in name] == [
        f'module.head.last_layer{i}.weight_{part}'
        for i in ('', '2') for part in 'gv'
    ]


def test_an_optimizer_that_cannot_be_written():
    model, wrapper = build_stepped()
    checkpoint = dict(state_dict=model.state_dict(),
                      optimizer=wrapper.state_dict())
    groups = checkpoint['optimizer']['param_groups']
    groups[0]['params'] = groups[0]['params'][2:]
    with pytest.raises(CheckpointError, match=r'groups of \[\d+, \d+\]'):
        to_official_optimizer(checkpoint)
