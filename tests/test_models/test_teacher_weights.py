"""Hosts load the teacher of a pre-training checkpoint, not the student."""

import copy
import pickle

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint
from mmpretrain.registry import MODELS

from ibot_mm.checkpoints.load import CheckpointError
from tests.helpers.builders import ARCH, build_model, model_config

BACKBONE = dict(
    type='ibot_mm.IBOTViT', arch=ARCH, img_size=32, patch_size=8)
MODELS_OF_HOSTS = dict(
    mmpretrain=dict(
        type='ImageClassifier', backbone=BACKBONE,
        head=dict(type='VisionTransformerClsHead', num_classes=3,
                  in_channels=24)),
    mmdet=dict(
        type='RetinaNet',
        backbone=dict(BACKBONE, out_type='featmap', out_indices=[0, 1]),
        neck=dict(type='FPN', in_channels=[24, 24], out_channels=8,
                  num_outs=5),
        bbox_head=dict(
            type='RetinaHead', num_classes=3, in_channels=8, stacked_convs=1,
            feat_channels=8)),
    mmseg=dict(
        type='EncoderDecoder',
        backbone=dict(BACKBONE, out_type='featmap'),
        decode_head=dict(
            type='FCNHead', in_channels=24, channels=8, num_classes=3,
            num_convs=1, norm_cfg=dict(type='BN'))),
    ours=dict(type='ibot_mm.FeatureExtractor', backbone=BACKBONE),
    probe=dict(type='ibot_mm.LinearProbe', backbone=BACKBONE, num_classes=3))


def build(name, **changes):
    """A model of a host, and as a plain dict its weights."""
    host = name if name.startswith('mm') else 'mmpretrain'
    registry = pytest.importorskip(f'{host}.registry').MODELS
    pytest.importorskip(f'{host}.models')
    with DefaultScope.overwrite_default_scope(host):
        return registry.build({**copy.deepcopy(MODELS_OF_HOSTS[name]),
                               **changes})


@pytest.fixture
def pretrained(tmp_path):
    """A pre-training whose teacher is not its student, and its file."""
    model = build_model()
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.add_(0.1)
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return model.eval(), str(path)


def assert_backbone(backbone, expected):
    own = expected.state_dict()
    loaded = backbone.state_dict()
    assert len(loaded) > 20
    for name, value in loaded.items():
        torch.testing.assert_close(value, own[name], rtol=0, atol=0)


@pytest.mark.parametrize('name', MODELS_OF_HOSTS)
def test_load_checkpoint_takes_the_teacher(name, pretrained, caplog):
    source, path = pretrained
    model = build(name)
    MMLogger.get_current_instance().addHandler(caplog.handler)
    try:
        with caplog.at_level('INFO', 'mmengine'):
            load_checkpoint(model, path)
    finally:
        MMLogger.get_current_instance().removeHandler(caplog.handler)
    assert_backbone(model.backbone, source.teacher.backbone)
    said = [r.getMessage() for r in caplog.records
            if "the teacher" in r.getMessage()]
    assert len(said) == 1 and type(model).__name__ in said[0]


def test_swin():
    model = build('mmpretrain', head=None, backbone=dict(
        type='ibot_mm.IBOTSwin', out_indices=(1, ), arch=dict(
            embed_dims=6, depths=[1, 1], num_heads=[1, 2])))
    own = model.backbone.state_dict()
    teacher = {name: value + 1 for name, value in own.items()}
    model.load_state_dict({
        **{f'backbone.{name}': value for name, value in own.items()},
        **{f'teacher.backbone.{name}': v for name, v in teacher.items()},
        'backbone.mask_token': torch.ones(1, 1, 6),
        'head.center.value': torch.ones(3)})
    for name, value in model.backbone.state_dict().items():
        if not name.endswith('relative_position_index'):
            assert torch.equal(value, teacher[name]), name


def test_the_student_if_asked_for(pretrained):
    source, path = pretrained
    model = build('ours', network='student')
    load_checkpoint(model, path, strict=True)
    assert_backbone(model.backbone, source.backbone)


def test_nothing_is_left_over(pretrained):
    """PyTorch's own strict loading of a model without other weights."""
    source, path = pretrained
    model = build('ours')
    model.load_state_dict(torch.load(path)['state_dict'])
    assert_backbone(model.backbone, source.teacher.backbone)


def test_the_projection_head_of_the_teacher(pretrained):
    source, path = pretrained
    model = build('ours', neck=model_config()['neck'])
    load_checkpoint(model, path, strict=True)
    x = torch.randn(2, 3, 32, 32)
    cls = source.teacher.backbone.extract_cls(x)
    torch.testing.assert_close(model.eval().extract_feat(x),
                               source.teacher.neck(cls)[0])


def test_other_checkpoints_load_as_before(pretrained, tmp_path):
    model = build('mmpretrain')
    path = str(tmp_path / 'classifier.pth')
    torch.save(dict(state_dict=model.state_dict()), path)
    other = build('mmpretrain')
    load_checkpoint(other, path, strict=True)
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)


def test_a_pre_training_loads_both_networks(pretrained):
    source, path = pretrained
    model = build_model(seed=1)
    load_checkpoint(model, path, strict=True)
    for name, value in source.state_dict().items():
        assert torch.equal(model.state_dict()[name], value)


def test_a_pre_training_takes_a_backbone_for_both_networks(pretrained,
                                                           tmp_path):
    """Else its features would be those of a random teacher."""
    source, _ = pretrained
    path = str(tmp_path / 'backbone.pth')
    torch.save(dict(state_dict={
        f'backbone.{name}': value
        for name, value in source.teacher.backbone.state_dict().items()
    }), path)
    model = MODELS.build(model_config())
    load_checkpoint(model, path)
    assert_backbone(model.teacher.backbone, source.teacher.backbone)
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(model.eval().extract_feat(x),
                               source.extract_feat(x))


def test_copies_and_pickles_take_the_teacher(pretrained):
    source, path = pretrained
    model = build('mmpretrain')
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        load_checkpoint(other, path)
        assert_backbone(other.backbone, source.teacher.backbone)


def test_a_checkpoint_of_the_official_code(pretrained, tmp_path):
    names = {'patch_embed.projection': 'patch_embed.proj',
             'layers': 'blocks', 'ffn.blocks.0.0': 'mlp.fc1',
             'ffn.blocks.1': 'mlp.fc2', 'ln': 'norm'}
    source, _ = pretrained

    def official(backbone):
        state = {}
        for name, value in backbone.state_dict().items():
            for ours, theirs in names.items():
                name = name.replace(ours, theirs)
            if not name.startswith('blocks'):
                name = name.replace('norm1', 'norm')
            state[f'backbone.{name}'] = value
        return state

    path = str(tmp_path / 'checkpoint.pth')
    torch.save(dict(student=official(source.backbone),
                    teacher=official(source.teacher.backbone)), path)
    model = build('mmpretrain')
    load_checkpoint(model, path)
    assert_backbone(model.backbone, source.teacher.backbone)


def test_a_damaged_teacher_is_named(pretrained):
    _, path = pretrained
    state = {name: value
             for name, value in torch.load(path)['state_dict'].items()
             if not name.startswith('teacher.backbone.') or 'ln1' in name}
    with pytest.raises((CheckpointError, RuntimeError), match='pos_embed'):
        build('ours').load_state_dict(state)
