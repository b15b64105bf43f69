"""Backbones from checkpoints of every kind, and what is rejected."""

import math
import re

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.models.backbones import VisionTransformer

from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.checkpoints.pretrained import load_pretrained, select_network
from ibot_mm.checkpoints.strict import load_strict
from ibot_mm.models import IBOTSwin, IBOTViT, ProjectionNeck
from ibot_mm.models.layers.patch_embed import inflate_channels
from tests.helpers import golden
from tests.helpers.builders import ARCH, build_model, model_config


def vit(init=None, **changes):
    model = IBOTViT(**{**dict(arch=ARCH, img_size=32, patch_size=8), **changes,
                       'init_cfg': init and dict(type='Pretrained', **init)})
    model.init_weights()
    return model.eval()


@pytest.fixture
def model():
    torch.manual_seed(1)
    model = build_model()
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.add_(0.1)
    return model.eval()


@pytest.fixture
def save(tmp_path):

    def save(content, name='ckpt.pth'):
        torch.save(content, tmp_path / name)
        return str(tmp_path / name)

    return save


def official_names(backbone):
    """By hand, not by the converter: the names of the official code."""
    names = {'ln1.weight': 'norm.weight', 'ln1.bias': 'norm.bias',
             'cls_token': 'cls_token', 'pos_embed': 'pos_embed',
             'patch_embed.projection.weight': 'patch_embed.proj.weight',
             'patch_embed.projection.bias': 'patch_embed.proj.bias'}
    for i in range(2):
        for ours, theirs in (('ln1', 'norm1'), ('ln2', 'norm2'),
                             ('attn.qkv', 'attn.qkv'),
                             ('attn.proj', 'attn.proj'),
                             ('ffn.layers.0.0', 'mlp.fc1'),
                             ('ffn.layers.1', 'mlp.fc2')):
            for kind in ('weight', 'bias'):
                names[f'layers.{i}.{ours}.{kind}'] = (
                    f'blocks.{i}.{theirs}.{kind}')
    return {names[k]: v for k, v in backbone.state_dict().items()
            if k != 'mask_token'}


def test_every_kind_of_file(model, save):
    x = torch.randn(2, 3, 32, 32)
    teacher = model.teacher.backbone
    wanted = {'teacher': teacher.extract_tokens(x)[0],
              'student': model.backbone.extract_tokens(x)[0]}
    assert not torch.allclose(wanted['teacher'], wanted['student'])
    state = model.state_dict()
    files = {
        'ours': (dict(state_dict=state), 'teacher'),
        'extracted': (dict(state_dict={
            f'backbone.{k}': v for k, v in teacher.state_dict().items()}),
            'teacher'),
        'bare': (teacher.state_dict(), 'teacher'),
        'official': (dict(
            student={f'module.backbone.{k}': v for k, v in
                     official_names(model.backbone).items()},
            teacher={f'backbone.{k}': v for k, v in
                     official_names(teacher).items()}), 'teacher'),
        'official backbone': (dict(state_dict=official_names(teacher)),
                              'teacher'),
        'flat official': (official_names(teacher), 'teacher'),
    }
    for name, (content, network) in files.items():
        path = save(content)
        got = vit(dict(checkpoint=path)).extract_tokens(x)[0]
        torch.testing.assert_close(got, wanted[network], msg=name)
    for name in ('ours', 'official'):
        path = save(files[name][0])
        got = vit(dict(checkpoint=path, network='student'))
        torch.testing.assert_close(got.extract_tokens(x)[0],
                                   wanted['student'])
    path = save(files['ours'][0])
    got = vit(dict(checkpoint=path, prefix='backbone.'))
    torch.testing.assert_close(got.extract_tokens(x)[0], wanted['teacher'])


def test_first_projection_layer(model, save):
    path = save(dict(state_dict=model.state_dict()))
    neck = ProjectionNeck(24, 32, init_cfg=dict(
        type='Pretrained', checkpoint=path))
    neck.init_weights()
    layer = model.teacher.neck.mlp[0]
    x = torch.randn(3, 24)
    torch.testing.assert_close(
        neck((x, ))[0], F.gelu(x @ layer.weight.T + layer.bias))
    bare = save(model.teacher.backbone.state_dict())
    neck = ProjectionNeck(24, 32, init_cfg=dict(
        type='Pretrained', checkpoint=bare))
    with pytest.raises(CheckpointError, match='pth": .* no projection head'):
        neck.init_weights()


@pytest.mark.parametrize('size', [(48, 48), (24, 56)])
def test_positions_are_resized_as_in_the_forward_pass(save, size):
    source = vit()
    path = save(source.state_dict())
    x = torch.randn(2, 3, *size)
    resized = vit(dict(checkpoint=path), img_size=size)
    assert resized.pos_embed.shape[1] == 1 + size[0] * size[1] // 64
    torch.testing.assert_close(resized.extract_tokens(x)[1],
                               source.extract_tokens(x)[1])


def test_positions_by_the_reference():
    """What the official code makes of its positions, from its own run."""
    weights = golden.weights('vit_misc', 'w/')
    arch = golden.meta('vit_misc')
    grid = int(math.isqrt(weights['pos_embed'].shape[1] - 1))
    key = next(k for k in golden.load('vit_misc') if k.startswith('pos')
               and '96' in k)
    patch = weights['patch_embed.projection.weight'].shape[-1]
    wanted = golden.tensor('vit_misc', key)
    model = IBOTViT(arch=dict(
        embed_dims=weights['pos_embed'].shape[2], num_layers=1, num_heads=3,
        feedforward_channels=8), img_size=(12 * patch, 8 * patch),
        patch_size=patch)
    assert grid * patch != 12 * patch, arch
    state = {'pos_embed': weights['pos_embed']}
    model.load_state_dict(state, strict=False)
    torch.testing.assert_close(model.pos_embed, wanted, rtol=0, atol=2e-6)


def test_positions_that_were_not_square(save):
    source = vit(img_size=(24, 40))
    path = save(source.state_dict())
    with pytest.raises(CheckpointError, match='15 patches.*init_cfg.img_size'):
        vit(dict(checkpoint=path))
    resized = vit(dict(checkpoint=path, img_size=(24, 40)))
    x = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(resized.extract_tokens(x)[0],
                               source.extract_tokens(x)[0])
    with pytest.raises(CheckpointError, match='img_size=64'):
        vit(dict(checkpoint=path, img_size=64))


def swin(window, size, **changes):
    arch = dict(embed_dims=8, depths=[2, 2], num_heads=[2, 4])
    model = IBOTSwin(arch, img_size=size, window_size=window,
                     out_indices=(1, ), **changes)
    return model


def cubic_matrix(source, target):
    """Cubic convolution (a = -0.75) from ``source`` to ``target`` samples."""
    a = -0.75

    def kernel(x):
        x = abs(x)
        if x <= 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.

    matrix = torch.zeros(target, source)
    for i in range(target):
        x = (i + 0.5) * source / target - 0.5
        for tap in range(math.floor(x) - 1, math.floor(x) + 3):
            matrix[i, min(max(tap, 0), source - 1)] += kernel(x - tap)
    return matrix


def test_windows_are_resized(save):
    small = swin(4, 64)
    small.init_weights()
    table = small.stages[0].blocks[0].attn.w_msa.relative_position_bias_table
    path = save(small.state_dict())
    large = swin(7, 56, init_cfg=dict(type='Pretrained', checkpoint=path))
    large.init_weights()
    attention = large.stages[0].blocks[0].attn.w_msa
    matrix = cubic_matrix(7, 13)
    for head in range(2):
        wanted = matrix @ table[:, head].view(7, 7) @ matrix.T
        torch.testing.assert_close(
            attention.relative_position_bias_table[:, head].view(13, 13),
            wanted)
    assert attention.relative_position_index.max() == 168
    # Everything else is as it was, so the network runs at its own size.
    torch.testing.assert_close(large.stages[0].blocks[0].attn.w_msa.qkv.weight,
                               small.stages[0].blocks[0].attn.w_msa.qkv.weight)
    assert torch.isfinite(large.extract_cls(torch.randn(1, 3, 56, 56))).all()


def test_host_positions_still_load(save):
    """Our files in the host's plain network, and the other way round."""
    source = vit()
    host = VisionTransformer(arch=ARCH, img_size=48, patch_size=8)
    path = save({f'backbone.{k}': v for k, v in source.state_dict().items()})
    host.init_cfg = dict(type='Pretrained', checkpoint=path,
                         prefix='backbone.')
    host.init_weights()
    torch.testing.assert_close(host.cls_token, source.cls_token)
    back = save({f'backbone.{k}': v for k, v in host.state_dict().items()})
    again = vit(dict(checkpoint=back, prefix='backbone.'), img_size=48)
    torch.testing.assert_close(again.pos_embed, host.pos_embed)


@pytest.mark.parametrize('channels', [1, 2, 4, 6, 7])
def test_inflated_channels_embed_grey_images_alike(save, channels):
    weight = torch.randn(5, 3, 2, 2, dtype=torch.float64)
    inflated = inflate_channels(weight, channels)
    assert inflated.shape == (5, channels, 2, 2)
    grey = torch.randn(1, 1, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(
        F.conv2d(grey.expand(-1, channels, -1, -1), inflated),
        F.conv2d(grey.expand(-1, 3, -1, -1), weight))


def test_inflated_channels_by_hand(save):
    weight = torch.tensor([1., 2., 4.]).view(1, 3, 1, 1)
    assert inflate_channels(weight, 5).flatten().tolist() == [
        0.5, 1, 4, 0.5, 1]
    assert inflate_channels(weight, 2).flatten().tolist() == [5, 2]
    path = save(vit().state_dict())
    with pytest.raises(CheckpointError, match='patch_embed.projection.weight'):
        vit(dict(checkpoint=path), in_channels=6)
    model = vit(dict(checkpoint=path, inflate=True), in_channels=6)
    assert model.patch_embed.projection.weight.shape == (24, 6, 8, 8)


def test_missing_unexpected_and_misshapen_entries_are_listed(save):
    state = vit().state_dict()
    del state['ln1.weight']
    state['head.weight'] = torch.zeros(1)
    state['layers.0.attn.qkv.bias'] = torch.zeros(3)
    with pytest.raises(CheckpointError) as error:
        vit(dict(checkpoint=save(state)))
    message = str(error.value)
    for text in ('ckpt.pth', 'ln1.weight', 'head.weight',
                 'layers.0.attn.qkv.bias'):
        assert text in message
    assert '\n' not in message


def test_nothing_is_changed_by_a_rejected_checkpoint(save):
    state = {k: v + 1 for k, v in vit().state_dict().items()}
    state['extra'] = torch.zeros(1)
    model = vit()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(CheckpointError):
        load_pretrained(model, save(state))
    assert all(torch.equal(v, before[k])
               for k, v in model.state_dict().items())


def test_another_architecture_is_one_sentence(save):
    path = save(vit(arch={**ARCH, 'num_layers': 3}).state_dict())
    with pytest.raises(CheckpointError, match=(
            'holds a ViT of width 24, 3 blocks .* but the config builds a '
            'ViT of width 24, 2 blocks')):
        vit(dict(checkpoint=path))
    path = save(swin(4, 64).state_dict())
    with pytest.raises(CheckpointError, match='holds a Swin transformer'):
        vit(dict(checkpoint=path))


def blocks_in(message):
    return re.findall(r'width (\d+), (\d+) blocks', message)


@pytest.mark.parametrize('kept', [
    '', ('backbone.', 'neck.', 'head.'), ('teacher.', 'head.')])
def test_a_pre_training_of_another_depth(kept):
    """Blocks of student and teacher are not added: 3 here, 2 are built."""
    deep = build_model(backbone=dict(arch={**ARCH, 'num_layers': 3}))
    state = {k: v for k, v in deep.state_dict().items() if k.startswith(kept)}
    with pytest.raises(CheckpointError, match='"x.pth"') as error:
        load_strict(build_model(), state, 'x.pth')
    assert blocks_in(str(error.value)) == [('24', '3'), ('24', '2')]


@pytest.mark.parametrize('kept, missing', [
    (('backbone.', 'neck.', 'head.'), 'teacher'),
    (('teacher.', 'head.'), 'backbone, neck'),
    (('backbone.', ), 'head, neck, teacher'),
])
def test_parts_that_a_pre_training_checkpoint_lacks(kept, missing):
    """They are named, and not taken for another architecture."""
    model = build_model()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = {k: v + 1 for k, v in before.items() if k.startswith(kept)}
    with pytest.raises(CheckpointError,
                       match=f'"x.pth" holds no {missing},') as error:
        load_strict(model, state, 'x.pth')
    assert not blocks_in(str(error.value))
    assert all(torch.equal(v, before[k])
               for k, v in model.state_dict().items())


def test_wrong_prefix_and_no_checkpoint(save):
    path = save(dict(state_dict=build_model().state_dict()))
    with pytest.raises(CheckpointError,
                       match='"ckpt.pth".*"encoder.".*backbone'):
        vit(dict(checkpoint=path, prefix='encoder.'))
    with pytest.raises(CheckpointError, match='give --pretrained'):
        vit(dict(checkpoint=''))


def test_no_teacher(save):
    model = build_model()
    student = {k: v for k, v in model.state_dict().items()
               if not k.startswith('teacher.')}
    with pytest.raises(CheckpointError, match='no teacher, only a student'):
        vit(dict(checkpoint=save(dict(state_dict=student))))
    assert vit(dict(checkpoint=save(dict(state_dict=student)),
                    network='student'))
    with pytest.raises(CheckpointError, match='no backbone of the teacher'):
        select_network(dict(state_dict={'fc.weight': torch.zeros(1)}))
    with pytest.raises(CheckpointError, match='has no "teacher"'):
        select_network(dict(student={}))


@pytest.mark.parametrize('host', ['mmpretrain', 'mmdet', 'mmseg'])
def test_plain_backbones_in_all_hosts(host, save, model):
    """What extract_backbone.py writes, in the network without a plugin."""
    registry = pytest.importorskip(f'{host}.registry')
    from mmengine.registry import DefaultScope
    path = save(dict(state_dict=select_network(dict(
        state_dict=model.state_dict()))))
    with DefaultScope.overwrite_default_scope(host):
        backbone = registry.MODELS.build(dict(
            type='mmpretrain.VisionTransformer', arch=ARCH, img_size=32,
            patch_size=8, init_cfg=dict(
                type='Pretrained', checkpoint=path, prefix='backbone.')))
        backbone.init_weights()
    backbone.eval()
    x = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(
        backbone(x)[0], model.teacher.backbone.extract_tokens(x)[0])


@pytest.mark.parametrize('host', ['mmdet', 'mmseg'])
def test_other_hosts_build_and_load_our_backbone(host, save, model):
    """The same init_cfg under the registries of detection and segmentation."""
    registry = pytest.importorskip(f'{host}.registry')
    from mmengine.registry import DefaultScope
    path = save(dict(state_dict=model.state_dict()))
    with DefaultScope.overwrite_default_scope(host):
        backbone = registry.MODELS.build(dict(
            type='ibot_mm.IBOTViT', arch=ARCH, img_size=32, patch_size=8,
            init_cfg=dict(type='Pretrained', checkpoint=path)))
    backbone.init_weights()
    x = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(
        backbone.eval().extract_tokens(x)[0],
        model.teacher.backbone.extract_tokens(x)[0])


EXTRACTOR = dict(
    type='ibot_mm.FeatureExtractor',
    backbone=dict(type='ibot_mm.IBOTViT', arch=ARCH, img_size=32,
                  patch_size=8))


def runner(tmp_path, load_from, model=EXTRACTOR, resume=False):
    cfg = Config(dict(
        model=model,
        work_dir=str(tmp_path), load_from=load_from, resume=resume,
        default_scope='mmpretrain',
        custom_hooks=[dict(type='ibot_mm.StrictLoadHook')],
        experiment_name=f'strict{tmp_path.name}'))
    return Runner.from_cfg(cfg)


def test_the_runner_rejects_what_does_not_fit(tmp_path, model, save):
    path = save(dict(state_dict=model.state_dict()))
    run = runner(tmp_path, path)
    run.load_or_resume()
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(
        run.model.eval().extract_feat(x),
        model.teacher.backbone.extract_tokens(x)[0], rtol=1e-4, atol=1e-4)
    state = model.state_dict()
    del state['teacher.backbone.ln1.bias']
    run = runner(tmp_path, save(dict(state_dict=state)))
    with pytest.raises(CheckpointError, match='backbone.ln1.bias'):
        run.load_or_resume()


@pytest.mark.parametrize('resume', [False, True])
def test_the_runner_names_a_missing_teacher(tmp_path, model, save, resume):
    """As load_from, with --resume and in tools/test.py."""
    state = {k: v for k, v in model.state_dict().items()
             if not k.startswith('teacher.')}
    path = save(dict(state_dict=state, meta=dict(iter=1)))
    run = runner(tmp_path, path, model_config(), resume)
    with pytest.raises(CheckpointError, match='ckpt.pth" holds no teacher,'):
        run.load_or_resume()


@pytest.mark.parametrize('content, message', [
    (dict(state_dict=None), 'is not a dict of weights, but NoneType'),
    (dict(teacher=None), '"teacher" of the checkpoint is not a dict'),
    (dict(state_dict={0: torch.zeros(1)}), 'holds 0,'),
    ({'a': 'b'}, "holds 'a',"),
])
def test_what_holds_no_weights(save, content, message):
    with pytest.raises(CheckpointError, match=message):
        vit(dict(checkpoint=save(content)))


def test_constants_of_swin_may_be_missing_or_more(save):
    state = swin(4, 64).state_dict()
    lean = {k: v for k, v in state.items()
            if not k.endswith('relative_position_index')}
    assert len(lean) < len(state)
    lean['stages.0.blocks.1.attn.attn_mask'] = torch.zeros(1)
    model = swin(4, 64, init_cfg=dict(type='Pretrained',
                                      checkpoint=save(lean)))
    model.init_weights()
    assert all(torch.equal(v, state[k])
               for k, v in model.state_dict().items())


def test_official_files_are_to_be_converted_before_they_train():
    from types import SimpleNamespace

    from ibot_mm.engine import StrictLoadHook
    runner = SimpleNamespace(model=build_model(), _load_from='x.pth')
    with pytest.raises(CheckpointError, match='"x.pth" is .*ibot_to_mm.py'):
        StrictLoadHook().after_load_checkpoint(
            runner, dict(student={}, teacher={}))


@pytest.mark.parametrize('resume', [False, True])
def test_a_head_for_other_classes_is_skipped(resume):
    from types import SimpleNamespace

    from torch import nn

    from ibot_mm.engine import StrictLoadHook

    def model(classes):
        return nn.ModuleDict(dict(body=nn.Linear(3, 4),
                                  head=nn.Linear(4, classes)))

    old, new = model(5), model(2)
    own = new.head.weight.clone()
    runner = SimpleNamespace(model=new, _load_from='x.pth', _resume=resume)
    checkpoint = dict(state_dict=old.state_dict())
    hook = StrictLoadHook(skip_prefixes=['head.'])
    if resume:
        with pytest.raises(CheckpointError, match='head.bias'):
            hook.after_load_checkpoint(runner, checkpoint)
        return
    hook.after_load_checkpoint(runner, checkpoint)
    new.load_state_dict(checkpoint['state_dict'])
    assert torch.equal(new.body.weight, old.body.weight)
    assert torch.equal(new.head.weight, own)


def test_a_head_alone_is_no_student(save):
    """It has centres, as a student's file, but no backbone of any kind."""
    content = dict(state_dict={'head.center.value': torch.zeros(3),
                               'teacher.neck.last_layer.bias': torch.zeros(3)})
    with pytest.raises(CheckpointError, match='no backbone of the teacher'):
        vit(dict(checkpoint=save(content)))
