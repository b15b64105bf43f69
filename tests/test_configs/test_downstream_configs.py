"""The configs of COCO and ADE20K against the published recipes.

The tables are the recipes of the paper and the official code, model by model;
published results are in percent.
"""

import re
import textwrap
from copy import deepcopy
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import (
    DATASETS,
    HOOKS,
    MODELS,
    TRANSFORMS,
    DefaultScope,
)

from ibot_mm.models import IBOTViT

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

ROOT = Path(__file__).parents[2]
FOLDERS = [ROOT / 'configs' / 'benchmarks' / name
           for name in ('detection', 'segmentation')]
PATHS = {path.stem: path for folder in FOLDERS
         for path in folder.glob('*.py')}


def detector(net, schedule, batch, decay, grid, published=None):
    """A row of the table; 8 GPUs, (h, w) patches in the position grid."""
    return dict(net=net, schedule=schedule, batch=batch, decay=decay,
                grid=grid, published=published or {})


ONE, THREE = (12, [8, 11]), (36, [27, 33])  # epochs, milestones
SMALL, BASE = (50, 63), (42, 68)  # of 800 x 1008 and 672 x 1092 pixels
CASCADE = 'cascade-mask-rcnn_{}-ibot-pre_fpn_4conv1fc-giou_amp-ms-crop-{}_coco'
PLAIN = 'mask-rcnn_{}-ibot-pre_fpn_amp-ms-crop-1x_coco'
CASCADE_S = CASCADE.format('vit-s-p16', '1x')
CASCADE_B = CASCADE.format('vit-b-p16', '1x')
DETECTION = {
    CASCADE_S: detector('small', ONE, 4, 0.8, SMALL, {
        'box AP': 49.4, 'box AP50': 68.7, 'box AP75': 53.3,
        'mask AP': 42.6, 'mask AP50': 65.6, 'mask AP75': 45.8}),
    CASCADE_B: detector('base', ONE, 2, 0.75, BASE, {
        'box AP': 51.2, 'box AP50': 70.8, 'box AP75': 55.5,
        'mask AP': 44.2, 'mask AP50': 67.8, 'mask AP75': 47.7,
        'box AP random masks': 51.5}),
    CASCADE.format('swin-t-p4-w7', '1x'):
    detector('tiny', ONE, 2, None, None),
    CASCADE.format('vit-s-p16', '3x'):
    detector('small', THREE, 2, 0.75, SMALL),
    CASCADE.format('vit-b-p16', '3x'):
    detector('base', THREE, 2, 0.65, BASE),
    CASCADE.format('swin-t-p4-w7', '3x'):
    detector('tiny', THREE, 2, None, None),
    PLAIN.format('vit-s-p16'): detector('small', ONE, 4, 0.8, SMALL),
    PLAIN.format('vit-b-p16'): detector('base', ONE, 2, 0.75, BASE),
    PLAIN.format('swin-t-p4-w7'): detector('tiny', ONE, 2, None, None),
}
DROP_PATH = dict(small=0.1, base=0.2, tiny=0.2)  # of the detectors
WIDTHS = dict(small=[384] * 4, base=[768] * 4, large=[1024] * 4,
              tiny=[96, 192, 384, 768])


def segmentor(net, lr, decay, gpus, batch, *, drop_path=0.1, accumulation=1,
              size=512, normed=False, iterations=160000, warmup=1500,
              published=None):
    """A row of the table; the layer decay is None for a linear head."""
    row = {k: v for k, v in locals().items() if k != 'published'}
    return dict(row, published=published or {})


UPERNET = '{}-p16-ibot-pre_upernet_{}_ade20k-{}x{}'
UPERNET_S = UPERNET.format('vit-small', '4xb4-amp-160k', 512, 512)
SWIN = 'swin-tiny-w7-ibot-pre_upernet_8xb2-amp-160k_ade20k-512x512'
SEGMENTATION = {
    UPERNET_S: segmentor(
        'small', 3e-5, 0.9, 4, 4, normed=True,
        published={'mIoU': 45.4, 'mAcc': 56.2}),
    UPERNET.format('vit-base', '8xb2-amp-160k', 512, 512): segmentor(
        'base', 8e-5, 0.65, 8, 2, normed=True,
        published={'mIoU': 50.0, 'mAcc': 60.3}),
    UPERNET.format('vit-base', '8xb2-amp-160k', 640, 640): segmentor(
        'base', 3e-5, 0.9, 8, 2, size=640),
    UPERNET.format('vit-large', '8xb2-amp-160k', 512, 512): segmentor(
        'large', 2e-5, 0.95, 8, 2, drop_path=0.2),
    UPERNET.format('vit-large', '8xb1-acc2-amp-320k', 640, 640): segmentor(
        'large', 2e-5, 0.95, 8, 1, drop_path=0.2, accumulation=2, size=640,
        iterations=320000, warmup=3000),
    SWIN: segmentor('tiny', 6e-5, None, 8, 2, drop_path=0.3),
}
LINEAR = {
    'vit-small-p16-ibot-pre_linear_8xb2-amp-160k_ade20k-512x512':
    segmentor('small', 3e-5, None, 8, 2),
    'vit-base-p16-ibot-pre_linear_4xb4-amp-160k_ade20k-512x512':
    segmentor('base', 8e-4, None, 4, 4, normed=True,
              published={'mIoU': 38.3, 'mAcc': 48.0}),
    'vit-large-p16-ibot-pre_linear_8xb2-amp-160k_ade20k-512x512':
    segmentor('large', 2e-5, None, 8, 2),
}
RECIPES = {**DETECTION, **SEGMENTATION, **LINEAR}
LAYERS = dict(small=(3, 5, 7, 11), base=(3, 5, 7, 11), large=(7, 11, 15, 23))
DEPTH = dict(small=12, base=12, large=24)
SWIN_DEPTHS = (2, 2, 6, 2)


@cache
def parsed(path):
    return Config.fromfile(path)


def load(name):
    """A config by its name, for the test to change."""
    return deepcopy(parsed(PATHS[name]))


def scope(cfg):
    """Names without a scope are those of the config's package."""
    return DefaultScope.overwrite_default_scope(cfg.default_scope)


def build(cfg):
    """The model of a config; without memory where its parts allow it."""
    is_swin = cfg.model.backbone.type.endswith('Swin')
    with scope(cfg), torch.device('cpu' if is_swin else 'meta'):
        return MODELS.build(cfg.model)


def optimized(cfg, model):
    """Learning rate and weight decay of each parameter, by name."""
    # The scaler for float16 needs a device.
    wrapper = deepcopy(dict(cfg.optim_wrapper, dtype='float32'))
    optimizer = build_optim_wrapper(model, wrapper).optimizer
    names = {id(p): n for n, p in model.named_parameters()}
    return {names[id(p)]: (group['lr'], group['weight_decay'])
            for group in optimizer.param_groups for p in group['params']}


def test_every_config_has_a_recipe():
    assert set(PATHS) == set(RECIPES)


# ------------------------------------------------------------------ recipes


@pytest.mark.parametrize('name', DETECTION)
def test_optimization_of_detectors(name):
    row, cfg = DETECTION[name], load(name)
    epochs, milestones = row['schedule']
    wrapper = cfg.optim_wrapper
    assert wrapper.optimizer == dict(
        type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05)
    # mmcv's RoIAlign has no bfloat16.
    assert wrapper.dtype == 'float16' and 'clip_grad' not in wrapper
    assert wrapper.paramwise_cfg.get('layer_decay_rate') == row['decay']
    assert cfg.train_dataloader.batch_size == row['batch']
    assert cfg.auto_scale_lr.base_batch_size == 8 * row['batch']
    warmup, steps = cfg.param_scheduler
    assert (warmup.begin, warmup.end, warmup.start_factor) == (0, 500, 0.001)
    assert (steps.milestones, steps.gamma) == (milestones, 0.1)
    assert steps.end == cfg.train_cfg.max_epochs == epochs


@pytest.mark.parametrize('name', [*SEGMENTATION, *LINEAR])
def test_optimization_of_segmentors(name):
    row, cfg = RECIPES[name], load(name)
    wrapper = cfg.optim_wrapper
    assert wrapper.optimizer == dict(
        type='AdamW', lr=row['lr'], betas=(0.9, 0.999),
        weight_decay=0.01 if name == SWIN else 0.05)
    assert wrapper.dtype == 'float16' and 'clip_grad' not in wrapper
    assert wrapper.get('accumulative_counts', 1) == row['accumulation']
    if name not in LINEAR:  # whose layers are frozen
        assert wrapper.paramwise_cfg.get('layer_decay_rate') == row['decay']
    assert cfg.train_dataloader.batch_size == row['batch']
    assert row['gpus'] * row['batch'] * row['accumulation'] == 16
    assert cfg.auto_scale_lr.base_batch_size == 16
    warmup, poly = cfg.param_scheduler
    assert (warmup.begin, warmup.end, warmup.start_factor) == (
        0, row['warmup'], 1e-6)
    assert (poly.begin, poly.power, poly.eta_min) == (row['warmup'], 1, 0)
    assert poly.end == cfg.train_cfg.max_iters == row['iterations']
    assert not warmup.by_epoch and not poly.by_epoch


@pytest.mark.parametrize('name', DETECTION)
def test_detectors(name):
    row = DETECTION[name]
    cfg = load(name)
    model = build(cfg)
    assert type(model.neck if row['net'] == 'tiny' else
                model.neck[1]).__name__ == 'FPN'
    strides = [s[0] for s in model.rpn_head.prior_generator.strides]
    assert strides == [4, 8, 16, 32, 64]
    heads = model.roi_head.bbox_head
    if name.startswith('cascade'):
        assert [a.pos_iou_thr for a in model.roi_head.bbox_assigner] == [
            0.5, 0.6, 0.7]
        assert [tuple(head.bbox_coder.stds) for head in heads] == [
            (0.1, 0.1, 0.2, 0.2), (0.05, 0.05, 0.1, 0.1),
            (0.033, 0.033, 0.067, 0.067)]
        for head in heads:
            assert len(head.shared_convs) == 4 and len(head.shared_fcs) == 1
            assert type(head.shared_convs[0].norm).__name__.startswith('Sync')
            assert type(head.loss_bbox).__name__ == 'GIoULoss'
            assert head.loss_bbox.loss_weight == 10
            assert head.reg_decoded_bbox and not head.reg_class_agnostic
    else:
        assert len(heads.shared_fcs) == 2
    backbone = cfg.model.backbone
    assert backbone.arch == row['net']
    assert backbone.drop_path_rate == DROP_PATH[row['net']]
    if row['net'] == 'tiny':
        return
    assert backbone.with_cp and backbone.out_indices == LAYERS[row['net']]
    assert not hasattr(model.backbone, 'ln1')
    assert model.backbone.patch_resolution == row['grid']
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize('name', [*SEGMENTATION, *LINEAR])
def test_segmentors(name):
    row, cfg = RECIPES[name], load(name)
    size, widths = row['size'], WIDTHS[row['net']]
    model = build(cfg)
    assert model.data_preprocessor.size == (size, size)
    assert model.decode_head.num_classes == 150
    assert cfg.model.backbone.arch == row['net']
    if name not in LINEAR:
        assert cfg.model.backbone.drop_path_rate == row['drop_path']
        assert model.decode_head.in_channels == widths
        assert model.auxiliary_head.in_index == 2
        assert model.auxiliary_head.loss_decode.loss_weight == 0.4
    if name == SWIN:
        assert cfg.model.test_cfg.mode == 'whole'
        return
    test_cfg = cfg.model.test_cfg
    assert (test_cfg.mode, test_cfg.crop_size) == ('slide', (size, size))
    assert test_cfg.stride == {512: (341, 341), 640: (426, 426)}[size]
    backbone = cfg.model.backbone
    assert backbone.out_indices == LAYERS[row['net']]
    assert backbone.out_with_norm == row['normed']
    assert model.backbone.patch_resolution == (size // 16, size // 16)


@pytest.mark.parametrize('name', LINEAR)
def test_linear_heads_train_one_convolution(name):
    cfg = load(name)
    model = build(cfg).train()
    lr, width = LINEAR[name]['lr'], sum(WIDTHS[LINEAR[name]['net']])
    assert optimized(cfg, model) == {
        'decode_head.conv_seg.weight': (lr, 0.05),
        'decode_head.conv_seg.bias': (lr, 0.)}
    assert model.decode_head.conv_seg.weight.shape == (150, width, 1, 1)
    assert model.decode_head.dropout is None
    assert not model.with_neck and not model.with_auxiliary_head
    leaves = [m for m in model.backbone.modules() if not list(m.children())]
    assert len(leaves) > 100 and not any(m.training for m in leaves)


@pytest.mark.parametrize('name', [CASCADE_S, UPERNET_S])
def test_rate_and_decay_of_each_parameter(name):
    row, cfg = RECIPES[name], load(name)
    lr, decay = row.get('lr', 1e-4), row['decay']
    model = build(cfg)
    found = optimized(cfg, model)
    assert set(found) == {n for n, _ in model.named_parameters()}
    for key, parameter in model.named_parameters():
        power = 0  # of neck and heads, and of the final norm
        if layer := re.match(r'backbone\.layers\.(\d+)\.', key):
            power = 12 - int(layer[1])
        elif re.match(r'backbone\.(patch_embed|pos_embed|cls_token)', key):
            power = 13
        exempt = key.endswith('.bias') or parameter.ndim == 1
        assert found[key] == (pytest.approx(lr * decay**power, rel=1e-9),
                              0. if exempt else 0.05), key
    # Worked out; the official code decays them by mistake.
    for key in ('backbone.cls_token', 'backbone.pos_embed'):
        assert found[key] == (pytest.approx({
            1e-4: 5.497558e-6, 3e-5: 7.625597e-6}[lr], rel=1e-6), 0.05)


@pytest.mark.parametrize('name, rate, decay', [
    (PLAIN.format('swin-t-p4-w7'), 1e-4, 0.05), (SWIN, 6e-5, 0.01)])
def test_swin_decays_no_norms_and_tables(name, rate, decay):
    cfg = load(name)
    model = build(cfg)
    # Every second block shifts its windows, in the last stage too.
    assert [(b.attn.window_size, b.attn.shift_size)
            for b in model.backbone.blocks] == [(7, 0), (7, 3)] * 6
    found = optimized(cfg, model)
    blocks = [f'backbone.stages.{stage}.blocks.{block}'
              for stage, depth in enumerate(SWIN_DEPTHS)
              for block in range(depth)]
    norms = ['backbone.patch_embed.norm',
             *(f'backbone.norm{stage}' for stage in range(4)),
             *(f'backbone.stages.{i}.downsample.norm' for i in range(3)),
             *(f'{block}.norm{i}' for block in blocks for i in (1, 2))]
    exempt = {f'{norm}.{kind}' for norm in norms
              for kind in ('weight', 'bias')}
    exempt |= {f'{block}.attn.w_msa.relative_position_bias_table'
               for block in blocks}
    assert found == {key: (rate, 0. if key in exempt else decay)
                     for key in found}
    assert exempt <= set(found)


def test_positions_are_resized_to_the_training_size(tmp_path):
    """From 224 pixels; the official loader interpolates bicubically."""
    settings = dict(
        arch=dict(embed_dims=8, num_layers=1, num_heads=2,
                  feedforward_channels=8))
    source = IBOTViT(**settings)
    torch.manual_seed(0)
    # Smooth, as trained positions are.
    grid = F.interpolate(torch.randn(1, 8, 5, 5), size=(14, 14),
                         mode='bicubic')
    source.pos_embed.data[:, 1:] = grid.flatten(2).transpose(1, 2)
    torch.save({f'backbone.{k}': v for k, v in source.state_dict().items()},
               tmp_path / 'backbone.pth')
    cfg = load(CASCADE_S).model.backbone
    cfg.pop('type')
    cfg.update(settings, out_indices=(0, ))
    cfg.init_cfg.checkpoint = str(tmp_path / 'backbone.pth')
    backbone = IBOTViT(**cfg)
    backbone.init_weights()
    assert backbone.pos_embed.requires_grad
    found = backbone.pos_embed[0, 1:].T.reshape(1, 8, 50, 63)
    official = F.interpolate(grid, size=(50, 63), mode='bicubic')
    # Ours samples at (n + 0.1) / 14 as forward does, the loader at n / 14.
    assert (found - official).square().mean().sqrt() < 0.02 * official.std()
    assert backbone(torch.zeros(1, 3, 200, 320))[0].shape == (1, 8, 13, 20)


# --------------------------------------------------------------------- data


@pytest.mark.parametrize('name', [CASCADE_S, *SEGMENTATION])
def test_everything_that_a_config_names_is_there(name):
    cfg = load(name)
    is_detector = name in DETECTION
    with scope(cfg):
        for part in ('train', 'val', 'test'):
            settings = cfg[f'{part}_dataloader'].dataset
            dataset = DATASETS.build(dict(settings, lazy_init=True))
            assert type(dataset).__name__ == (
                'CocoDataset' if is_detector else 'ADE20KDataset')
            assert len(dataset.metainfo['classes']) == (
                80 if is_detector else 150)
        for key, hook in cfg.default_hooks.items():
            if key != 'visualization':  # needs a visualizer
                assert HOOKS.build(hook) is not None
    assert {'strict_load', 'data_check'} <= set(cfg.default_hooks)
    assert cfg.test_dataloader == cfg.val_dataloader
    assert cfg.test_evaluator == cfg.val_evaluator
    if is_detector:
        assert cfg.val_evaluator.metric == ['bbox', 'segm']


def picture(folder, shape=(300, 400, 3)):
    path = str(folder / f'{len(shape)}.png')
    cv2.imwrite(path, np.random.default_rng(0).integers(
        0, 151, shape, dtype=np.uint8))
    return path


def run(cfg, pipeline, data):
    """A sample through a pipeline."""
    data = deepcopy(data)
    with scope(cfg):
        for step in pipeline:
            data = TRANSFORMS.build(step)(data)
    return data


def test_detection_pipelines_run(tmp_path):
    cfg = load(CASCADE_S)
    data = dict(
        img_path=picture(tmp_path), img_id=1, height=300, width=400,
        instances=[dict(bbox=[50., 40., 350., 260.], bbox_label=3,
                        ignore_flag=0,
                        mask=[[50., 40., 350., 40., 350., 260., 50., 260.]])])
    sides, crops = set(), 0
    for _ in range(20):
        out = run(cfg, cfg.train_dataloader.dataset.pipeline, data)
        height, width = out['inputs'].shape[1:]
        sides.add(min(height, width))
        crops += abs(width / height - 4 / 3) > 0.01
        assert len(out['data_samples'].gt_instances.masks) == 1
    assert len(sides) > 3 and sides <= {*range(480, 801, 32)}
    assert 0 < crops < 20
    out = run(cfg, cfg.test_dataloader.dataset.pipeline, data)
    assert out['inputs'].shape == (3, 800, 1067)


@pytest.mark.parametrize('size', [512, 640])
def test_segmentation_pipelines_run(size, tmp_path):
    cfg = load(UPERNET.format('vit-base', '8xb2-amp-160k', size, size))
    data = dict(
        img_path=picture(tmp_path), seg_map_path=picture(tmp_path, (300, 400)),
        reduce_zero_label=True, label_map=None, seg_fields=[])
    out = run(cfg, cfg.train_dataloader.dataset.pipeline, data)
    assert max(out['inputs'].shape[1:]) <= size
    labels = out['data_samples'].gt_sem_seg.data.unique()
    assert 255 in labels and 149 in labels and 150 not in labels
    out = run(cfg, cfg.test_dataloader.dataset.pipeline, data)
    assert out['inputs'].shape == (3, size, round(size * 4 / 3))
    out = run(cfg, cfg.tta_pipeline, data)
    # The official code has six ratios, but never goes below the crop.
    assert [min(x.shape[1:]) for x in out['inputs']] == [
        max(round(ratio * size), size)
        for ratio in (0.5, 0.75, 1, 1.25, 1.5, 1.75) for _ in range(2)]
    assert [s.metainfo['flip'] for s in out['data_samples']] == [
        False, True] * 6


# -------------------------------------------------------- configs of users


def documented_examples():
    """Configs of users that docs/dense_tasks.md shows."""
    page = (ROOT / 'docs' / 'dense_tasks.md').read_text()
    blocks = re.findall(r'```python\n(.*?)```', page, flags=re.S)
    return [textwrap.dedent(b) for b in blocks if '_base_' in b]


@pytest.mark.parametrize('text', documented_examples())
def test_documented_examples_build(text, tmp_path):
    """They inherit a config of ours and change the data set."""
    (tmp_path / 'mine.py').write_text(text)
    cfg = Config.fromfile(tmp_path / 'mine.py')
    model = build(cfg)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        classes = loader.dataset.get('metainfo', {}).get('classes')
        count = len(classes) if classes else 80
        found = {module.num_classes for module in model.modules()
                 if hasattr(module, 'num_classes')
                 and type(module).__name__ != 'RPNHead'}
        assert found == {count}
        for step in loader.dataset.pipeline:
            if step['type'] == 'LoadAnnotations':
                assert step.get('reduce_zero_label') is None
                roi_head = getattr(model, 'roi_head', None)
                assert step.get('with_mask', False) == (
                    roi_head is not None and roi_head.with_mask)
    assert len(documented_examples()) == 5


# ---------------------------------------------------------------- metafiles


def entries(path):
    return {m['Name']: m for m in yaml.safe_load(
        (ROOT / path).read_text())['Models']}


@pytest.mark.parametrize('folder', FOLDERS, ids=lambda f: f.name)
def test_metafiles_have_the_published_results(folder):
    for name, entry in entries(folder / 'metafile.yml').items():
        found = {}
        for result in entry['Results'] or []:
            found.update(result['Metrics'])
        published = RECIPES[name]['published'] if name in RECIPES else {}
        published = {f'{k} (published)': v for k, v in published.items()}
        assert found.items() <= published.items()
        assert bool(found) == bool(published)
