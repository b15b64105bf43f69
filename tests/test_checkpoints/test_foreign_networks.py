"""Networks of timm, DINO, DINOv2 and MMPretrain: equal features of ours."""

import re

import pytest
import timm
import torch
from mmpretrain.models.backbones import VisionTransformer
from timm.layers import resample_patch_embed

from ibot_mm.checkpoints.architecture import backbone_config
from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.checkpoints.official.state_dict import strip_prefix
from ibot_mm.checkpoints.pretrained import select_network
from ibot_mm.checkpoints.timm import to_timm
from ibot_mm.models import IBOTSwin, IBOTViT
from ibot_mm.models.layers.patch_embed import resize_kernel
from tests.helpers.builders import ARCH
from tests.helpers.in_process import run_tool

SIZE = 70  # pixels: 5 x 5 patches


def randomized(model):
    """Every parameter, because LayerScale and registers start near 0."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.eval()  # MMPretrain's returns None
    return model


def timm_network(name, seed=0, **options):
    torch.manual_seed(seed)
    return randomized(timm.create_model(
        name, pretrained=False, img_size=SIZE, num_classes=0,
        dynamic_img_size=True, **options))


@pytest.fixture(scope='module', params=['vit_small_patch14_dinov2',
                                        'vit_small_patch14_reg4_dinov2'])
def theirs(request):
    return timm_network(request.param)


def build(content, **settings):
    """Our network with the weights of a checkpoint."""
    state = strip_prefix(select_network(content), 'backbone.')
    config = backbone_config(state, **settings)
    assert config.pop('type') == 'ibot_mm.IBOTViT'
    model = IBOTViT(**config)
    model.load_state_dict(state, strict=True)
    return model.eval()


def assert_equal_features(ours, theirs, *size, atol=1e-5):
    x = torch.randn(2, 3, *(size or (SIZE, SIZE)))
    with torch.no_grad():
        tokens = theirs.forward_features(x)
        cls, patch = ours.extract_tokens(x)
    torch.testing.assert_close(cls, tokens[:, 0], atol=atol, rtol=1e-5)
    torch.testing.assert_close(
        patch, tokens[:, theirs.num_prefix_tokens:], atol=atol, rtol=1e-5)


def test_features_of_timms_dinov2(theirs):
    """At the size of the positions, and at another one."""
    registers = theirs.num_prefix_tokens - 1
    ours = build(theirs.state_dict())
    assert ours.layers[0].attn.gamma1.weight.std() > 0.05
    assert_equal_features(ours, theirs)
    # timm interpolates as DINOv2 with registers: antialiased, no offset.
    alike = ours if registers else build(
        theirs.state_dict(), interpolate_offset=0., interpolate_antialias=True)
    assert_equal_features(alike, theirs, 98, 56)
    if not registers:  # DINOv2 itself has an offset here, as iBOT
        with pytest.raises(AssertionError):
            assert_equal_features(ours, theirs, 98, 56)


def test_every_way_to_extract(theirs):
    ours = build(theirs.state_dict(), out_indices=[10, 11], out_type='featmap',
                 out_with_norm=True)
    x = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        wanted = theirs.get_intermediate_layers(
            x, n=2, reshape=True, return_prefix_tokens=True, norm=True)
        blocks = ours.extract_last_blocks(x, 2)
        for got, (cls, patch), (maps, prefix) in zip(ours(x), blocks, wanted):
            for result, known in ((got, maps), (cls, prefix[:, 0]),
                                  (patch, maps.flatten(2).transpose(1, 2))):
                torch.testing.assert_close(result, known, atol=2e-5, rtol=1e-5)
        torch.testing.assert_close(ours.extract_cls(x), blocks[-1][0],
                                   atol=1e-5, rtol=1e-5)
        ours.out_type = 'raw'
        assert torch.equal(ours(x)[1], torch.cat(
            [blocks[1][0][:, None], blocks[1][1]], 1))


def test_back_to_timm(tmp_path):
    ours = build(timm_network('vit_small_patch14_reg4_dinov2').state_dict())
    source, target = tmp_path / 'ours.pth', tmp_path / 'timm.pth'
    torch.save(ours.state_dict(), source)
    out, _ = run_tool('model_converters/mm_to_timm.py', source, target)
    call = next(line for line in out.splitlines() if '.create_model(' in line)
    assert_equal_features(ours, eval(call, dict(timm=timm)).eval())


def test_registers_with_positions_of_timm():
    """``no_embed_class=False``: positions for registers, too."""
    theirs = timm_network('vit_small_patch14_reg4_dinov2', depth=2,
                          no_embed_class=False)
    assert theirs.pos_embed.shape[1] == 1 + 4 + 25
    assert_equal_features(build(theirs.state_dict(), num_heads=6), theirs)


def dinov2(network):
    """Weights of timm's network in DINOv2's names, written out."""
    state = dict(network.state_dict())
    cls = torch.randn(1, 1, 384)
    state['pos_embed'] = torch.cat([cls, state['pos_embed']], dim=1)
    state['cls_token'] = state['cls_token'] - cls
    state['register_tokens'] = state.pop('reg_token')
    state['mask_token'] = torch.randn(1, 384)
    return state


def prefixed(prefix, state):
    return {prefix + name: value for name, value in state.items()}


@pytest.mark.parametrize('kind', [
    'published', 'chunked', 'teacher', 'model', 'module'])
def test_files_of_dinov2(kind):
    networks = [timm_network('vit_small_patch14_reg4_dinov2', seed, depth=2)
                for seed in (0, 1)]
    student, teacher = map(dinov2, networks)
    if kind != 'published':
        student, teacher = (
            {re.sub(r'^blocks\.', f'blocks.{chunk}.', name): value
             for name, value in state.items()}
            for chunk, state in enumerate((student, teacher)))
    content = {
        'published': teacher,
        'chunked': teacher,
        'teacher': dict(teacher={
            **prefixed('backbone.', teacher),
            'dino_head.mlp.0.weight': torch.zeros(1)}),
        'model': dict(model={**prefixed('student.backbone.', student),
                             **prefixed('teacher.backbone.', teacher)}),
        'module': dict(student=prefixed('module.backbone.', student),
                       teacher=prefixed('module.backbone.', teacher)),
    }[kind]
    ours = build(content, num_heads=6)
    assert ours.mask_token is None
    assert_equal_features(ours, networks[1])


def test_a_student_of_dinov2_alone():
    content = dict(model=prefixed('student.backbone.', dinov2(
        timm_network('vit_small_patch14_reg4_dinov2', depth=1))))
    with pytest.raises(CheckpointError, match='no backbone of the teacher'):
        select_network(content)
    assert select_network(content, 'student')


def test_rotary_positions():
    theirs = timm.create_model('vit_small_patch16_dinov3', depth=1)
    with pytest.raises(CheckpointError, match='"pos_embed".*DINOv3'):
        select_network(theirs.state_dict())


def test_a_classifier_of_timm():
    """Its last layer is left out; DeiT's files have the key "model"."""
    theirs = timm_network('vit_tiny_patch16_224', patch_size=14)
    state = dict(theirs.state_dict(), **{'head.weight': torch.zeros(5, 192),
                                         'head.bias': torch.zeros(5)})
    assert_equal_features(build(dict(model=state)), theirs)


def test_layer_scale_of_mmpretrain():
    settings = dict(arch=ARCH, img_size=16, patch_size=8, out_type='raw',
                    layer_scale_init_value=0.1)
    theirs = randomized(VisionTransformer(**settings))
    ours = build(theirs.state_dict(), num_heads=3, out_type='raw')
    x = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(ours(x), theirs(x))


def test_layer_scale_of_the_official_code():
    """``gamma_1`` and ``gamma_2``, used by no published network."""
    theirs = timm_network('vit_small_patch14_dinov2', depth=1)
    state = {name.replace('ls1.gamma', 'gamma_1').replace(
        'ls2.gamma', 'gamma_2'): v for name, v in theirs.state_dict().items()}
    assert 'blocks.0.gamma_2' in state
    assert_equal_features(build(state, num_heads=6), theirs)


def test_the_official_code_has_no_registers(tmp_path):
    backbone = IBOTViT(ARCH, img_size=16, patch_size=8, num_register_tokens=2)
    state = backbone.state_dict()
    torch.save({**prefixed('backbone.', state),
                **prefixed('teacher.backbone.', state)}, tmp_path / 'ours.pth')
    with pytest.raises(CheckpointError, match='backbone.register_tokens'):
        run_tool('model_converters/mm_to_ibot.py', tmp_path / 'ours.pth',
                 tmp_path / 'official.pth')
    assert 'reg_token' in to_timm(state)


@pytest.mark.parametrize('source, target', [
    ((14, 14), (16, 16)), ((8, 8), (6, 12)), ((16, 16), (14, 14))])
def test_resized_patches_equal_timms(source, target):
    weight = torch.randn(4, 3, *source)
    torch.testing.assert_close(
        resize_kernel(weight, target), resample_patch_embed(
            weight, list(target)), atol=1e-5, rtol=1e-5)


def student(path, cls=IBOTViT, options=None, **settings):
    """A network that starts a pre-training."""
    model = cls(**settings, with_mask_token=True, init_cfg=dict(
        type='Pretrained', checkpoint=str(path), **(options or {})))
    model.init_weights()
    return model


def test_positions_and_patches_of_a_pre_training(tmp_path):
    """Nothing is resized unless that is asked for."""
    path = tmp_path / 'vit.pth'
    source = randomized(IBOTViT(ARCH, img_size=32, patch_size=8))
    torch.save(source.state_dict(), path)
    with pytest.raises(CheckpointError, match=(
            'vit.pth.*4x4 patches.*6x6 patches.*img_size.*resize_positions')):
        student(path, arch=ARCH, img_size=48, patch_size=8)
    model = student(path, options=dict(resize_positions=True), arch=ARCH,
                    img_size=48, patch_size=8)
    frozen = IBOTViT(ARCH, img_size=48, patch_size=8, init_cfg=dict(
        type='Pretrained', checkpoint=str(path)))
    frozen.init_weights()
    assert torch.equal(model.pos_embed, frozen.pos_embed)
    settings = dict(arch=ARCH, img_size=64, patch_size=16)
    with pytest.raises(CheckpointError, match=(
            '8x8 pixels.*16x16 pixels.*patch_size.*resize_patches')):
        student(path, **settings)
    model = student(path, options=dict(resize_patches=True), **settings)
    # Images without detail below the larger patch, enlarged, look alike.
    x = torch.randn(1, 3, 4, 4)
    with torch.no_grad():
        same = [m.patch_embed(x.repeat_interleave(p, 2).repeat_interleave(
            p, 3))[0] for m, p in ((source, 8), (model, 16))]
    torch.testing.assert_close(*same, atol=1e-4, rtol=1e-4)


def test_a_misspelled_option():
    with pytest.raises(ValueError, match='resize_position".*resize_positions'):
        student('x.pth', options=dict(resize_position=True), arch=ARCH)


def test_what_the_network_of_a_config_lacks(tmp_path):
    """Named before the sizes, which differ, too."""
    path = tmp_path / 'dinov2.pth'
    source = IBOTViT(ARCH, img_size=28, patch_size=14, num_register_tokens=4,
                     layer_scale_init_value=1e-5)
    torch.save(source.state_dict(), path)
    with pytest.raises(CheckpointError, match=(
            '14 pixels, 4 register tokens .num_register_tokens., LayerScale '
            '.layer_scale_init_value., but .* patches of 8 pixels:')):
        student(path, arch=ARCH, img_size=16, patch_size=8)
    loaded = student(path, arch=ARCH, img_size=28, patch_size=14,
                     num_register_tokens=4, layer_scale_init_value=1e-5)
    assert torch.equal(loaded.register_tokens, source.register_tokens)


def test_windows_of_a_pre_training(tmp_path):
    arch = dict(embed_dims=8, depths=[2, 2], num_heads=[2, 4])
    settings = dict(arch=arch, out_indices=(1, ))
    path = tmp_path / 'swin.pth'
    torch.save(IBOTSwin(img_size=64, window_size=4, **settings).state_dict(),
               path)
    larger = dict(settings, img_size=56, window_size=7)
    with pytest.raises(CheckpointError, match='4x4 .*7x7 .*window_size'):
        student(path, IBOTSwin, **larger)
    student(path, IBOTSwin, options=dict(resize_positions=True), **larger)
