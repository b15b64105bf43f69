"""Pyramids against their layers written out, and in detectors and UperNet."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS as ROOT
from mmengine.registry import DefaultScope

from ibot_mm.models import SimpleFeaturePyramid, ViTPyramid

VIT = dict(
    type='ibot_mm.IBOTViT',
    arch=dict(
        embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32),
    img_size=64,
    patch_size=16,
    out_type='featmap',
    out_indices=(0, 1, 2, -1))


def randomize(module):
    """No weight is 0 or 1, and no statistic is that of a new norm."""
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    for name, buffer in module.named_buffers():
        if 'running' in name:
            torch.nn.init.uniform_(buffer, 0.5, 2)
    return module.eval()


@pytest.mark.parametrize('grid', [(4, 6), (5, 7), (2, 3)])
def test_vit_pyramid(grid):
    neck = randomize(ViTPyramid(16))
    maps = [torch.randn(2, 16, *grid) for _ in range(4)]
    w = neck.state_dict()
    assert set(w) == {
        f'branches.{name}' for name in (
            '0.0.weight', '0.0.bias', '0.1.weight', '0.1.bias',
            '0.1.running_mean', '0.1.running_var', '0.1.num_batches_tracked',
            '0.3.weight', '0.3.bias', '1.weight', '1.bias')}

    def double(x, name):
        return F.conv_transpose2d(x, w[f'branches.{name}.weight'],
                                  w[f'branches.{name}.bias'], stride=2)

    mean, var, gain, bias = (
        w[f'branches.0.1.{name}'].view(1, -1, 1, 1)
        for name in ('running_mean', 'running_var', 'weight', 'bias'))
    x = (double(maps[0], '0.0') - mean) / (var + 1e-5).sqrt() * gain + bias
    expected = (double(F.gelu(x), '0.3'), double(maps[1], '1'), maps[2],
                F.max_pool2d(maps[3], 2))
    outs = neck(maps)
    height, width = grid
    assert [tuple(o.shape) for o in outs] == [
        (2, 16, 4 * height, 4 * width), (2, 16, 2 * height, 2 * width),
        (2, 16, height, width), (2, 16, height // 2, width // 2)]
    for ours, reference in zip(outs, expected):
        torch.testing.assert_close(ours, reference)


def test_vit_pyramid_takes_each_map_at_its_own_scale():
    """In another order, and with another norm and activation."""
    neck = randomize(ViTPyramid(8, scales=(0.5, 4), norm_cfg=dict(type='BN'),
                                act_cfg=dict(type='ReLU')))
    shapes = [o.shape[-2:] for o in neck(torch.randn(2, 1, 8, 6, 8))]
    assert shapes == [(3, 4), (24, 32)]
    assert [type(m) for m in neck.branches[1][1:3]] == [
        torch.nn.BatchNorm2d, torch.nn.ReLU]


def test_sync_bn_in_one_process_is_batch_norm():
    """Also after MMEngine's runner has replaced it."""
    neck = randomize(ViTPyramid(8)).train()
    assert isinstance(neck.branches[0][1], torch.nn.SyncBatchNorm)
    maps = list(torch.randn(4, 2, 8, 3, 3))
    x = neck.branches[0][0](maps[0])
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
    norm = neck.branches[0][1]
    x = (x - mean.view(-1, 1, 1)) / (var.view(-1, 1, 1) + 1e-5).sqrt()
    x = x * norm.weight.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)
    expected = neck.branches[0][3](F.gelu(x))
    torch.testing.assert_close(neck(maps)[0], expected)
    reverted = revert_sync_batchnorm(neck)
    assert not isinstance(reverted.branches[0][1], torch.nn.SyncBatchNorm)
    torch.testing.assert_close(reverted(maps)[0], expected)


@pytest.mark.parametrize('training', [False, True])
def test_vit_pyramid_is_feature2pyramid(training):
    """MMSegmentation's neck, with which UperNet is configured."""
    necks = pytest.importorskip('mmseg.models.necks')
    ours, theirs = randomize(ViTPyramid(16)), necks.Feature2Pyramid(16)
    names = {'branches.0.': 'upsample_4x.', 'branches.1.': 'upsample_2x.0.'}
    theirs.load_state_dict({
        names[key[:11]] + key[11:]: value
        for key, value in ours.state_dict().items()})
    assert isinstance(theirs.upsample_4x[1], torch.nn.SyncBatchNorm)
    maps = [torch.randn(2, 16, 5, 7, requires_grad=True) for _ in range(4)]
    grads = []
    for neck in (ours, theirs):
        outs = neck.train(training)(maps)
        grads.append((*outs, *torch.autograd.grad(
            sum(o.sin().sum() for o in outs), [*maps, *neck.parameters()])))
    assert len(grads[0]) == len(grads[1]) == 4 + 4 + 8
    for a, b in zip(*grads):
        torch.testing.assert_close(a, b, atol=0, rtol=0)
    # Theirs has no three scales.
    three = necks.Feature2Pyramid(16, [2, 1, 0.5])
    with pytest.raises(AttributeError, match='downsample_4x'):
        three(maps[:3])
    assert [o.shape[-2:] for o in ViTPyramid(16, (2, 1, 0.5))(maps[:3])] == [
        (10, 14), (5, 7), (2, 3)]


@pytest.mark.parametrize('grid', [(4, 6), (5, 7)])
@pytest.mark.parametrize('num_outs', [4, 5, 6])
def test_simple_feature_pyramid(grid, num_outs):
    neck = randomize(SimpleFeaturePyramid(16, 12, num_outs=num_outs))
    x = torch.randn(2, 16, *grid)
    w = {k[len('branches.'):]: v for k, v in neck.state_dict().items()}

    def double(x, name):
        return F.conv_transpose2d(x, w.pop(f'{name}.weight'),
                                  w.pop(f'{name}.bias'), stride=2)

    def norm(x, name):
        mean = x.mean(1, keepdim=True)
        var = x.var(1, unbiased=False, keepdim=True)
        return ((x - mean) / (var + 1e-6).sqrt()
                * w.pop(f'{name}.weight').view(1, -1, 1, 1)
                + w.pop(f'{name}.bias').view(1, -1, 1, 1))

    def project(x, branch, first):
        x = F.conv2d(x, w.pop(f'{branch}.{first}.weight'))
        x = norm(x, f'{branch}.{first + 1}')
        x = F.conv2d(x, w.pop(f'{branch}.{first + 2}.weight'), padding=1)
        return norm(x, f'{branch}.{first + 3}')

    assert w['0.0.weight'].shape == (16, 8, 2, 2)
    assert w['0.3.weight'].shape == (8, 4, 2, 2)
    assert w['1.0.weight'].shape == (16, 8, 2, 2)
    four = double(F.gelu(norm(double(x, '0.0'), '0.1')), '0.3')
    expected = [project(four, 0, 4), project(double(x, '1.0'), 1, 1),
                project(x, 2, 0), project(F.max_pool2d(x, 2), 3, 1)]
    for _ in range(num_outs - 4):
        expected.append(expected[-1][..., ::2, ::2])
    assert not w
    outs = neck([torch.randn(2, 16, *grid), x])
    assert len(outs) == num_outs
    for ours, reference in zip(outs, expected):
        assert ours.is_contiguous()
        torch.testing.assert_close(ours, reference, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('grid', [(4, 6), (3, 5)])
@pytest.mark.parametrize('simple', [False, True])
def test_in_a_detector(grid, simple):
    """Mask R-CNN of MMDetection: five outputs of 256 channels."""
    pytest.importorskip('mmdet')
    neck = dict(type='ibot_mm.SimpleFeaturePyramid', in_channels=16) \
        if simple else [
            dict(type='ibot_mm.ViTPyramid', in_channels=16),
            dict(type='FPN', in_channels=[16] * 4, out_channels=256,
                 num_outs=5)]
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = ROOT.build(dict(
            type='MaskRCNN', backbone=dict(VIT, out_with_norm=False),
            neck=neck, rpn_head=None, roi_head=None, train_cfg=None,
            test_cfg=None))
        model.init_weights()
    height, width = grid
    x = torch.randn(2, 3, 16 * height - 3, 16 * width)
    outs = model.train().extract_feat(x)
    shapes = [(4 * height, 4 * width), (2 * height, 2 * width), grid,
              (height // 2, width // 2)]
    shapes.append(tuple(-(-s // 2) for s in shapes[-1]))
    assert [tuple(o.shape) for o in outs] == [(2, 256, *s) for s in shapes]
    sum(o.square().sum() for o in outs).backward()
    unused = [n for n, p in model.named_parameters() if p.grad is None]
    assert not unused


@pytest.mark.parametrize('grid', [(4, 6), (3, 5)])
def test_in_a_segmentor(grid):
    """UperNet of MMSegmentation takes the four maps as they are."""
    pytest.importorskip('mmseg')
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = ROOT.build(dict(
            type='EncoderDecoder',
            backbone=dict(VIT, out_with_norm=True),
            neck=dict(type='Feature2Pyramid', embed_dim=16),
            decode_head=dict(
                type='UPerHead', in_channels=[16] * 4,
                in_index=[0, 1, 2, 3], channels=8, num_classes=5,
                norm_cfg=dict(type='SyncBN')),
            test_cfg=dict(mode='whole')))
        model.init_weights()
        height, width = grid
        x = torch.randn(2, 3, 16 * height, 16 * width)
        logits = model.train().decode_head(model.extract_feat(x))
        assert logits.shape == (2, 5, 4 * height, 4 * width)
        assert model.eval().encode_decode(
            x, [dict(img_shape=x.shape[2:])] * 2).shape == (2, 5, *x.shape[2:])


@pytest.mark.cli
def test_necks_need_neither_mmdetection_nor_mmsegmentation():
    """With both names blocked they are found in the registry."""
    code = ("import sys; sys.modules.update(mmdet=None, mmseg=None);"
            "from mmengine.registry import MODELS;"
            "print([type(MODELS.build(dict(type=f'ibot_mm.{name}', "
            "in_channels=8))).__name__ "
            "for name in ('ViTPyramid', 'SimpleFeaturePyramid')])")
    out = subprocess.run([sys.executable, '-c', code], capture_output=True,
                         text=True, check=True, timeout=120).stdout
    assert "['ViTPyramid', 'SimpleFeaturePyramid']" in out


def test_options_that_do_not_exist():
    with pytest.raises(ValueError, match='ViTPyramid: scales .* got 3'):
        ViTPyramid(8, scales=(3, ))
    with pytest.raises(ValueError, match='1 maps for 4 scales.*out_indices'):
        ViTPyramid(8)([torch.zeros(1, 8, 2, 2)])
    with pytest.raises(ValueError, match='num_outs .* got 3'):
        SimpleFeaturePyramid(8, num_outs=3)
    with pytest.raises(ValueError, match='in_channels .* got 6'):
        SimpleFeaturePyramid(6)
