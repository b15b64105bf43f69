"""The configs of COCO and ADE20K against the recipes, written out here.

The tables hold complete parts of the expanded configs, heads, assigners and
augmentations included: what is inherited from MMDetection and MMSegmentation
is compared too. A published figure is the paper's.
"""

import re
import textwrap
from copy import deepcopy
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import torch.distributed as dist
import yaml
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    METRICS,
    MODELS,
    TRANSFORMS,
    DefaultScope,
)

import ibot_mm  # noqa: F401

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / 'configs' / 'benchmarks'
PACKAGE = dict(detection='mmdet', segmentation='mmseg')
PATHS = sorted(p for folder in PACKAGE for p in (FOLDER / folder).glob('*.py'))
# The examples on the shapes data set have no recipe to follow.
RECIPES = [p for p in PATHS if not p.stem.endswith('_shapes')]
COCO_IMAGES = 117266  # of train2017 have instances

NETS = {
    # Mask R-CNN: images of a GPU, drop path, layer decay, maps' channels
    'vit-s-p16': (4, 0.1, 0.8, [384] * 4),
    'vit-b-p16': (2, 0.2, 0.75, [768] * 4),
    'swin-t-p4-w7': (2, 0.2, None, [96, 192, 384, 768]),
}
ARCH = {'vit-s-p16': 'small', 'vit-b-p16': 'base', 'swin-t-p4-w7': 'tiny'}


def cascade_name(net, length):
    return (f'cascade-mask-rcnn_{net}-ibot-pre_fpn_4conv1fc-giou_amp-ms-crop-'
            f'{length}_coco')


DETECTION = {  # network, epochs, decay of the rate after these, box and mask
    **{cascade_name(net, '1x'): (net, 12, [8, 11], aim) for net, aim in zip(
        NETS, [(49.4, 42.6), (51.2, 44.2), None])},
    **{cascade_name(net, '3x'): (net, 36, [27, 33], None) for net in NETS},
    **{f'mask-rcnn_{net}-ibot-pre_fpn_amp-ms-crop-1x_coco':
       (net, 12, [8, 11], None) for net in NETS},
}
CASCADES = [name for name in DETECTION if name.startswith('cascade')]

WIDTH = dict(small=384, base=768, large=1024)
VIT = dict(
    weight_decay=0.05, gpus=8, batch=2, accumulation=1, size=512,
    iterations=160000, layers=[3, 5, 7, 11], normed=True, aim=None)
VIT_L = dict(
    VIT, arch='large', lr=2e-5, decay=0.95, drop_path=0.2,
    layers=[7, 11, 15, 23], normed=False)
UPERNET = {
    'vit-small-p16-ibot-pre_upernet_4xb4-amp-160k_ade20k-512x512':
    dict(VIT, arch='small', lr=3e-5, decay=0.9, drop_path=0.1, gpus=4,
         batch=4, aim=45.4),
    'vit-base-p16-ibot-pre_upernet_8xb2-amp-160k_ade20k-512x512':
    dict(VIT, arch='base', lr=8e-5, decay=0.65, drop_path=0.1, aim=50.0),
    'vit-base-p16-ibot-pre_upernet_8xb2-amp-160k_ade20k-640x640':
    dict(VIT, arch='base', lr=3e-5, decay=0.9, drop_path=0.1, size=640,
         normed=False),
    'vit-large-p16-ibot-pre_upernet_8xb2-amp-160k_ade20k-512x512': VIT_L,
    'vit-large-p16-ibot-pre_upernet_8xb1-acc2-amp-320k_ade20k-640x640':
    dict(VIT_L, batch=1, accumulation=2, size=640, iterations=320000),
}
LINEAR = {
    # Outputs with the norm are the recipe of B; S and L do as UperNet.
    'vit-small-p16-ibot-pre_linear_4xb4-amp-160k_ade20k-512x512':
    dict(VIT, arch='small', lr=3e-5, gpus=4, batch=4),
    'vit-base-p16-ibot-pre_linear_4xb4-amp-160k_ade20k-512x512':
    dict(VIT, arch='base', lr=8e-4, gpus=4, batch=4, aim=38.3),
    'vit-large-p16-ibot-pre_linear_8xb2-amp-160k_ade20k-512x512': VIT_L,
}
SWIN_UPERNET = 'swin-tiny-w7-ibot-pre_upernet_8xb2-amp-160k_ade20k-512x512'
SEGMENTATION = {
    **UPERNET, **LINEAR,
    SWIN_UPERNET: dict(VIT, lr=6e-5, weight_decay=0.01),
}
# Multi-scale tests, by the config that they test.
MULTI_SCALE = {f'{name}-ms': name for name in [*UPERNET, SWIN_UPERNET]}
AIMS = {
    **{name: row[-1] for name, row in DETECTION.items()},
    **{name: row['aim'] and (row['aim'], )
       for name, row in SEGMENTATION.items()},
    **dict.fromkeys(MULTI_SCALE),
}

MEAN = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
            bgr_to_rgb=True)
SYNC_BN = dict(type='SyncBN', requires_grad=True)
SWIN_DECAY = dict(custom_keys={
    'relative_position_bias_table': dict(decay_mult=0.),
    'norm': dict(decay_mult=0.)})
SOFTMAX = dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)


@cache
def _load(path):
    return Config.fromfile(path)


def load(name):
    """A config of this folder by its stem, for the test to change."""
    folder = 'segmentation' if 'ade20k' in name else 'detection'
    pytest.importorskip(PACKAGE[folder])
    return deepcopy(_load(FOLDER / folder / f'{name}.py'))


def plain(value):
    """A part of a config as dicts and lists, without what says nothing.

    That is where a file lies (``backend_args=None`` is the default) and the
    scope, which is the run's anyway.
    """
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if (k, v) not in (
            ('backend_args', None), ('_scope_', 'mmdet'))}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def scope(cfg):
    """Names without a scope are the config's package's, in here only."""
    return DefaultScope.overwrite_default_scope(cfg.default_scope)


def header(path):
    text = path.read_text().split('_base_')[0]
    return ' '.join(line[1:].strip() for line in text.splitlines())


def figures_in(text):
    return [float(n) for n in re.findall(r'\d\d\.\d', text)]


def figures_of(name):
    """All published figures of a config, the one of random masks last."""
    return list(AIMS[name] or ()) + [51.5] * (
        name == cascade_name('vit-b-p16', '1x'))


START = dict(type='Pretrained', checkpoint='')


def vit(arch, **settings):
    """A backbone whose positions stay as they were pre-trained."""
    return dict(
        type='ibot_mm.IBOTViT', arch=arch, img_size=224, patch_size=16,
        out_type='featmap', init_cfg=START, **settings)


def swin(drop_path_rate, img_size):
    return dict(
        type='ibot_mm.IBOTSwin', arch='tiny', img_size=img_size,
        window_size=7, drop_path_rate=drop_path_rate,
        out_indices=[0, 1, 2, 3], init_cfg=START)


# ------------------------------------------------------------------ headers


def test_every_config_is_in_the_tables():
    assert {p.stem for p in RECIPES} == set(AIMS)
    assert len(DETECTION) == 9 and len(SEGMENTATION) == 9


@pytest.mark.parametrize('path', PATHS, ids=lambda p: p.stem)
def test_headers(path):
    text = header(path)
    tool, named = re.match(
        r'Launch: (?:bash|python) (tools/\S+) \\ (\S+) \\ ', text).groups()
    assert named == str(path.relative_to(ROOT)) and (ROOT / tool).is_file()
    assert 'Schedule: ' in text
    for line in path.read_text().splitlines():
        assert len(line) < 80 or '.py' in line
    if path in RECIPES:
        parent = MULTI_SCALE.get(path.stem)
        assert tool == ('tools/dist_test.sh' if parent else
                        'tools/dist_train.sh')
        assert (f'CHECKPOINT: of a training with {parent}.py.' if parent else
                'CHECKPOINT: of a pre-training, of the official code') in text


@pytest.mark.parametrize('path', RECIPES, ids=lambda p: p.stem)
def test_published_results_stand_in_the_headers(path):
    text, aim = header(path), AIMS[path.stem]
    if aim is None:
        assert 'No result of this configuration is published.' in text
        assert 'Aim' not in text
        return
    found = re.search(
        r'Aim \(published, paper\): (.*?)Not reproduced here\.', text)
    assert figures_in(found[1]) == figures_of(path.stem)
    assert 'No result' not in text


@pytest.mark.parametrize('path', [p for p in RECIPES
                                  if p.stem not in MULTI_SCALE],
                         ids=lambda p: p.stem)
def test_arithmetic_of_the_headers(path):
    cfg, text = load(path.stem), header(path)
    row = re.search(r'Schedule: (\d) GPUs x batch (\d) x accumulation (\d) = '
                    r'(\d+) images per step; lr (\de-\d)', text)
    gpus, batch, accumulation, total = map(int, row.groups()[:4])
    assert f'tools/dist_train.sh \\ {path.relative_to(ROOT)} \\ {gpus} --p' \
        in text
    assert total == gpus * batch * accumulation
    assert cfg.train_dataloader.batch_size == batch
    assert cfg.optim_wrapper.get('accumulative_counts', 1) == accumulation
    assert cfg.auto_scale_lr == dict(enable=False, base_batch_size=total)
    assert cfg.optim_wrapper.optimizer.lr == float(row[5])
    decay = cfg.optim_wrapper.get('paramwise_cfg', {}).get('layer_decay_rate')
    layers = re.search(r'times (\S+) for each layer of the backbone', text)
    if path.stem not in LINEAR:  # where no layer is trained
        assert (layers and float(layers[1])) == decay
    warmup = cfg.param_scheduler[0].end
    assert f'warm-up {warmup} iterations' in text
    if path.stem in DETECTION:
        epochs, steps = cfg.train_cfg.max_epochs, -(-COCO_IMAGES // total)
        assert (f'{epochs} epochs of {steps:,} iterations '
                f'({epochs * steps:,} in all; {COCO_IMAGES:,} images') in text
        first, second = cfg.param_scheduler[1].milestones
        assert f'rate x 0.1 after epochs {first} and {second}.' in text
    else:
        assert f'-{gpus}xb{batch}-' in path.stem.replace('_', '-')
        iterations = cfg.train_cfg.max_iters
        assert f'-{iterations // 1000}k_' in path.stem
        assert f'linear to 0 after {iterations:,} iterations' in text
        assert (f'({iterations // accumulation:,} steps)' in text) == (
            accumulation > 1)


# ---------------------------------------------------------------- detection


def coder(*stds):
    return dict(type='DeltaXYWHBBoxCoder', target_means=[0., 0., 0., 0.],
                target_stds=list(stds))


def rpn(loss_bbox):
    return dict(
        type='RPNHead', in_channels=256, feat_channels=256,
        anchor_generator=dict(
            type='AnchorGenerator', scales=[8], ratios=[0.5, 1.0, 2.0],
            strides=[4, 8, 16, 32, 64]),
        bbox_coder=coder(1.0, 1.0, 1.0, 1.0),
        loss_cls=dict(
            type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_bbox=loss_bbox)


def extractor(size):
    return dict(
        type='SingleRoIExtractor',
        roi_layer=dict(type='RoIAlign', output_size=size, sampling_ratio=0),
        out_channels=256, featmap_strides=[4, 8, 16, 32])


def conv_head(*stds):
    return dict(
        type='ConvFCBBoxHead', num_shared_convs=4, num_shared_fcs=1,
        in_channels=256, conv_out_channels=256, fc_out_channels=1024,
        roi_feat_size=7, num_classes=80, bbox_coder=coder(*stds),
        reg_class_agnostic=False, reg_decoded_bbox=True, norm_cfg=SYNC_BN,
        loss_cls=SOFTMAX,
        loss_bbox=dict(type='GIoULoss', loss_weight=10.0))


def assigner(positive, negative, low_quality):
    return dict(
        type='MaxIoUAssigner', pos_iou_thr=positive, neg_iou_thr=negative,
        min_pos_iou=negative, match_low_quality=low_quality,
        ignore_iof_thr=-1)


def rcnn_train_cfg(threshold, low_quality=False):
    return dict(
        assigner=assigner(threshold, threshold, low_quality),
        sampler=dict(
            type='RandomSampler', num=512, pos_fraction=0.25, neg_pos_ub=-1,
            add_gt_as_proposals=True),
        mask_size=28, pos_weight=-1, debug=False)


def train_cfg(border, proposals, rcnn):
    return dict(
        rpn=dict(
            assigner=assigner(0.7, 0.3, True),
            sampler=dict(
                type='RandomSampler', num=256, pos_fraction=0.5,
                neg_pos_ub=-1, add_gt_as_proposals=False),
            allowed_border=border, pos_weight=-1, debug=False),
        rpn_proposal=dict(
            nms_pre=2000, max_per_img=proposals,
            nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
        rcnn=rcnn)


MASK_HEAD = dict(
    type='FCNMaskHead', num_convs=4, in_channels=256, conv_out_channels=256,
    num_classes=80,
    loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0))
BOTH = dict(
    data_preprocessor=dict(
        type='DetDataPreprocessor', **MEAN, pad_mask=True,
        pad_size_divisor=32),
    test_cfg=dict(
        rpn=dict(
            nms_pre=1000, max_per_img=1000,
            nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
        rcnn=dict(
            score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5),
            max_per_img=100, mask_thr_binary=0.5)))
CASCADE_MODEL = dict(
    BOTH, type='CascadeRCNN',
    rpn_head=rpn(dict(type='SmoothL1Loss', beta=1 / 9, loss_weight=1.0)),
    roi_head=dict(
        type='CascadeRoIHead', num_stages=3,
        stage_loss_weights=[1, 0.5, 0.25], bbox_roi_extractor=extractor(7),
        bbox_head=[
            conv_head(0.1, 0.1, 0.2, 0.2), conv_head(0.05, 0.05, 0.1, 0.1),
            conv_head(0.033, 0.033, 0.067, 0.067)],
        mask_roi_extractor=extractor(14), mask_head=MASK_HEAD),
    train_cfg=train_cfg(
        0, 2000, [rcnn_train_cfg(t) for t in (0.5, 0.6, 0.7)]))
PLAIN_MODEL = dict(
    BOTH, type='MaskRCNN',
    rpn_head=rpn(dict(type='L1Loss', loss_weight=1.0)),
    roi_head=dict(
        type='StandardRoIHead', bbox_roi_extractor=extractor(7),
        bbox_head=dict(
            type='Shared2FCBBoxHead', in_channels=256, fc_out_channels=1024,
            roi_feat_size=7, num_classes=80,
            bbox_coder=coder(0.1, 0.1, 0.2, 0.2), reg_class_agnostic=False,
            loss_cls=SOFTMAX,
            loss_bbox=dict(type='L1Loss', loss_weight=1.0)),
        mask_roi_extractor=extractor(14), mask_head=MASK_HEAD),
    train_cfg=train_cfg(-1, 1000, rcnn_train_cfg(0.5, low_quality=True)))


@pytest.mark.parametrize('name', list(DETECTION))
def test_detectors(name):
    """The model without the backbone, whose options follow."""
    net, *_ = DETECTION[name]
    _, drop_path, _, channels = NETS[net]
    model = plain(load(name).model)
    backbone, neck = model.pop('backbone'), model.pop('neck')
    assert model == (CASCADE_MODEL if name in CASCADES else PLAIN_MODEL)
    fpn = dict(type='FPN', in_channels=channels, out_channels=256, num_outs=5)
    if net == 'swin-t-p4-w7':
        assert neck == fpn
    else:
        assert neck == [
            dict(type='ibot_mm.ViTPyramid', in_channels=channels[0]), fpn]
    if net == 'swin-t-p4-w7':
        assert backbone == swin(drop_path, 800)
    else:
        assert backbone == vit(
            ARCH[net], out_indices=[3, 5, 7, 11], out_with_norm=False,
            with_cp=True, drop_path_rate=drop_path)


@pytest.mark.parametrize('name', list(DETECTION))
def test_optimization_of_detectors(name):
    net, epochs, milestones, _ = DETECTION[name]
    batch, _, decay, _ = NETS[net]
    cfg = load(name)
    assert cfg.train_dataloader.batch_size == batch
    # Eight GPUs: 32 images for ViT-S, 16 for the others.
    assert cfg.auto_scale_lr.base_batch_size == 8 * batch
    assert cfg.auto_scale_lr.enable is False
    wrapper = plain(cfg.optim_wrapper)
    assert wrapper.pop('loss_scale', 'dynamic') == 'dynamic'
    assert wrapper.pop('clip_grad', None) is None
    optimization = dict(
        type='ibot_mm.PretrainOptimWrapper', dtype='float16',
        optimizer=dict(type='AdamW', lr=1e-4, betas=[0.9, 0.999],
                       weight_decay=0.05))
    if decay:
        optimization.update(
            constructor='ibot_mm.LayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(layer_decay_rate=decay, decay_embeddings=True))
    else:
        optimization.update(paramwise_cfg=SWIN_DECAY)
    assert wrapper == optimization
    assert plain(cfg.param_scheduler) == [
        dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0,
             end=500),
        dict(type='MultiStepLR', begin=0, end=epochs, by_epoch=True,
             milestones=milestones, gamma=0.1)]
    assert (cfg.train_cfg.type, cfg.train_cfg.max_epochs) == (
        'EpochBasedTrainLoop', epochs)


def choice(*sides):
    return dict(type='RandomChoiceResize', keep_ratio=True,
                scales=[[side, 1333] for side in sides])


ALL_SIDES = choice(480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)
COCO_TRAIN = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomChoice', transforms=[
        [ALL_SIDES],
        [choice(400, 500, 600),
         dict(type='RandomCrop', crop_type='absolute_range',
              crop_size=[384, 600], allow_negative_crop=True),
         ALL_SIDES]]),
    dict(type='PackDetInputs'),
]
COCO_TEST = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=[1333, 800], keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs',
         meta_keys=['img_id', 'img_path', 'ori_shape', 'img_shape',
                    'scale_factor']),
]


@pytest.mark.parametrize('name', list(DETECTION))
def test_data_of_detectors(name):
    cfg = load(name)
    train, val = (plain(cfg[key]) for key in (
        'train_dataloader', 'val_dataloader'))
    assert train['dataset'] == dict(
        type='CocoDataset', data_root='data/coco/',
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=COCO_TRAIN)
    assert train['sampler'] == dict(type='DefaultSampler', shuffle=True)
    assert train['batch_sampler'] == dict(type='AspectRatioBatchSampler')
    assert val['dataset'] == dict(
        type='CocoDataset', data_root='data/coco/',
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'), test_mode=True, pipeline=COCO_TEST)
    assert val['sampler'] == dict(type='DefaultSampler', shuffle=False)
    assert cfg.test_dataloader == cfg.val_dataloader
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert plain(evaluator) == dict(
            type='CocoMetric', metric=['bbox', 'segm'], format_only=False,
            ann_file='data/coco/annotations/instances_val2017.json')
    assert cfg.default_scope == 'mmdet'
    assert 'ibot_mm' in cfg.custom_imports.imports


# ------------------------------------------------------------- segmentation


def uper_head(in_channels, channels):
    return dict(
        type='UPerHead', in_channels=in_channels, in_index=[0, 1, 2, 3],
        pool_scales=[1, 2, 3, 6], channels=channels, dropout_ratio=0.1,
        num_classes=150, norm_cfg=SYNC_BN, align_corners=False,
        loss_decode=SOFTMAX)


def auxiliary_head(in_channels):
    return dict(
        type='FCNHead', in_channels=in_channels, in_index=2, channels=256,
        num_convs=1, concat_input=False, dropout_ratio=0.1, num_classes=150,
        norm_cfg=SYNC_BN, align_corners=False,
        loss_decode=dict(SOFTMAX, loss_weight=0.4))


def seg_preprocessor(size):
    return dict(type='SegDataPreProcessor', **MEAN, pad_val=0,
                seg_pad_val=255, size=[size, size])


def slide(size):
    stride = {512: 341, 640: 426}[size]
    return dict(mode='slide', crop_size=[size] * 2, stride=[stride] * 2)


def segmentor(name):
    """The model of a config in plain form, and its backbone."""
    model = plain(load(name).model)
    assert model.pop('pretrained', None) is None
    assert model.pop('train_cfg') == {}
    assert model.pop('type') == 'EncoderDecoder'
    backbone = model.pop('backbone')
    return model, backbone


@pytest.mark.parametrize('name', list(UPERNET))
def test_upernets(name):
    row = UPERNET[name]
    width = WIDTH[row['arch']]
    model, backbone = segmentor(name)
    assert model == dict(
        data_preprocessor=seg_preprocessor(row['size']),
        neck=dict(type='Feature2Pyramid', embed_dim=width,
                  rescales=[4, 2, 1, 0.5]),
        decode_head=uper_head([width] * 4, width),
        auxiliary_head=auxiliary_head(width), test_cfg=slide(row['size']))
    assert backbone == vit(
        row['arch'], out_indices=row['layers'], out_with_norm=row['normed'],
        drop_path_rate=row['drop_path'])


def test_upernet_of_swin():
    model, backbone = segmentor(SWIN_UPERNET)
    assert model == dict(
        data_preprocessor=seg_preprocessor(512),
        decode_head=uper_head([96, 192, 384, 768], 512),
        auxiliary_head=auxiliary_head(384), test_cfg=dict(mode='whole'))
    assert backbone == swin(0.3, 512)


@pytest.mark.parametrize('name', list(LINEAR))
def test_linear_heads(name):
    row = LINEAR[name]
    width = WIDTH[row['arch']]
    model, backbone = segmentor(name)
    head = model.pop('decode_head')
    assert head.pop('norm_cfg', None) is None
    head.pop('kernel_size', None)  # of the convolutions that there are not
    assert head == dict(
        type='FCNHead', in_channels=[width] * 4, in_index=[0, 1, 2, 3],
        input_transform='resize_concat', channels=4 * width, num_convs=0,
        concat_input=False, dropout_ratio=0, num_classes=150,
        align_corners=False, loss_decode=SOFTMAX)
    # No pyramid and no second head.
    for key in ('neck', 'auxiliary_head'):
        assert model.pop(key, None) is None
    assert model == dict(
        data_preprocessor=seg_preprocessor(512), test_cfg=slide(512))
    assert backbone.pop('drop_path_rate', 0.) == 0.
    assert backbone == vit(
        row['arch'], out_indices=row['layers'], out_with_norm=row['normed'],
        frozen_stages=row['layers'][-1] + 1)


@pytest.mark.parametrize('name', list(SEGMENTATION))
def test_optimization_of_segmentors(name):
    row = SEGMENTATION[name]
    cfg = load(name)
    assert cfg.train_dataloader.batch_size == row['batch']
    assert row['gpus'] * row['batch'] * row['accumulation'] == 16
    assert plain(cfg.auto_scale_lr) == dict(enable=False, base_batch_size=16)
    wrapper = plain(cfg.optim_wrapper)
    assert wrapper.pop('loss_scale', 'dynamic') == 'dynamic'
    assert wrapper.pop('clip_grad', None) is None
    assert wrapper.pop('accumulative_counts', 1) == row['accumulation']
    paramwise = wrapper.pop('paramwise_cfg', {})
    constructor = wrapper.pop('constructor', None)
    assert wrapper == dict(
        type='ibot_mm.PretrainOptimWrapper', dtype='float16',
        optimizer=dict(type='AdamW', lr=row['lr'], betas=[0.9, 0.999],
                       weight_decay=row['weight_decay']))
    if name == SWIN_UPERNET:
        assert constructor is None and paramwise == SWIN_DECAY
    elif name in UPERNET:
        assert constructor == 'ibot_mm.LayerDecayOptimWrapperConstructor'
        assert paramwise == dict(
            layer_decay_rate=row['decay'], decay_embeddings=True)
    assert plain(cfg.param_scheduler) == [
        dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0,
             end=1500),
        dict(type='PolyLR', eta_min=0., power=1., begin=1500,
             end=row['iterations'], by_epoch=False)]
    assert (cfg.train_cfg.type, cfg.train_cfg.max_iters) == (
        'IterBasedTrainLoop', row['iterations'])
    assert cfg.log_processor.by_epoch is False
    assert cfg.default_hooks.checkpoint.by_epoch is False


LABELS = dict(type='LoadAnnotations', reduce_zero_label=True)


@pytest.mark.parametrize('name', list(SEGMENTATION))
def test_data_of_segmentors(name):
    cfg = load(name)
    size = SEGMENTATION[name]['size']
    train, val = (plain(cfg[key]) for key in (
        'train_dataloader', 'val_dataloader'))
    scale = {512: [2048, 512], 640: [2560, 640]}[size]
    assert train['dataset'] == dict(
        type='ADE20KDataset',
        data_root='data/ade/ADEChallengeData2016',
        data_prefix=dict(img_path='images/training',
                         seg_map_path='annotations/training'),
        pipeline=[
            dict(type='LoadImageFromFile'), LABELS,
            dict(type='RandomResize', scale=scale, ratio_range=[0.5, 2.0],
                 keep_ratio=True),
            dict(type='RandomCrop', crop_size=[size, size],
                 cat_max_ratio=0.75),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PhotoMetricDistortion'),
            dict(type='PackSegInputs')])
    assert train['sampler'] == dict(type='InfiniteSampler', shuffle=True)
    assert val['dataset'] == dict(
        type='ADE20KDataset',
        data_root='data/ade/ADEChallengeData2016',
        data_prefix=dict(img_path='images/validation',
                         seg_map_path='annotations/validation'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=scale, keep_ratio=True), LABELS,
            dict(type='PackSegInputs')])
    assert val['sampler'] == dict(type='DefaultSampler', shuffle=False)
    assert cfg.test_dataloader == cfg.val_dataloader
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert evaluator == dict(type='IoUMetric', iou_metrics=['mIoU'])
    assert cfg.default_scope == 'mmseg'
    assert 'ibot_mm' in cfg.custom_imports.imports


@pytest.mark.parametrize('name', list(MULTI_SCALE))
def test_multi_scale_tests(name):
    cfg, parent = load(name), load(MULTI_SCALE[name])
    # Of the test size, not of the image's own.
    scales = {
        512: [[1024, 256], [1536, 384], [2048, 512], [2560, 640],
              [3072, 768], [3584, 896]],
        640: [[1280, 320], [1920, 480], [2560, 640], [3200, 800],
              [3840, 960], [4480, 1120]],
    }[SEGMENTATION[MULTI_SCALE[name]]['size']]
    load_image, augmentation = plain(cfg.test_dataloader.dataset.pipeline)
    assert load_image == dict(type='LoadImageFromFile')
    assert augmentation.pop('type') == 'TestTimeAug'
    resizes, flips, labels, pack = augmentation.pop('transforms')
    assert not augmentation
    assert resizes == [dict(type='Resize', scale=scale, keep_ratio=True)
                       for scale in scales]
    assert [(f['type'], f['prob'], f.get('direction', 'horizontal'))
            for f in flips] == [('RandomFlip', 0, 'horizontal'),
                                ('RandomFlip', 1, 'horizontal')]
    assert labels in ([LABELS], [dict(type='LoadAnnotations')])
    assert pack == [dict(type='PackSegInputs')]
    hook, = cfg.custom_hooks
    assert plain(hook) == dict(
        type='ibot_mm.TestTimeAugHook', tta_cfg=dict(type='SegTTAModel'))
    # All else is the parent's.
    assert {key for key in cfg if cfg[key] != parent.get(key)} == {
        'test_dataloader', 'custom_hooks'}
    cfg.test_dataloader.dataset.pipeline = (
        parent.test_dataloader.dataset.pipeline)
    assert cfg.test_dataloader == parent.test_dataloader
    assert not parent.get('custom_hooks') and set(parent) <= set(cfg)


# ------------------------------------------- what the configs are built into


def vit_parameters(arch, final_norm):
    width, depth = WIDTH[arch], 24 if arch == 'large' else 12
    tokens = 14 * 14 + 1
    return ((3 * 16 * 16 + 1) * width + width + tokens * width
            + depth * (12 * width**2 + 13 * width) + 2 * width * final_norm)


# The published 28,288,354 less the classifier; the three stages before the
# last get norms too.
SWIN_TINY = 28288354 - (768 * 1000 + 1000) + 2 * (96 + 192 + 384)


def conv(source, target, kernel, norm=False):
    """A convolution with either a bias or a norm."""
    return source * target * kernel**2 + target * (2 if norm else 1)


def pyramid_parameters(width):
    return 3 * conv(width, width, 2) + 2 * width


def detector_parameters(name):
    net, *_ = DETECTION[name]
    channels = NETS[net][3]
    if net.startswith('vit'):
        total = vit_parameters(ARCH[net], False) + pyramid_parameters(
            channels[0])
    else:
        total = SWIN_TINY
    total += sum(conv(c, 256, 1) for c in channels) + 4 * conv(256, 256, 3)
    total += conv(256, 256, 3) + conv(256, 3, 1) + conv(256, 12, 1)
    mask = 4 * conv(256, 256, 3) + conv(256, 256, 2) + conv(256, 80, 1)
    outputs = (1024 + 1) * (81 + 4 * 80)
    if name in CASCADES:
        return total + 3 * (mask + outputs + 4 * conv(256, 256, 3, True)
                            + (256 * 49 + 1) * 1024)
    return total + mask + outputs + (256 * 49 + 1) * 1024 + 1025 * 1024


def uper_parameters(channels, width):
    return (sum(conv(c, width, 1, True) for c in channels[:3])
            + 4 * conv(channels[3], width, 1, True)
            + conv(channels[3] + 4 * width, width, 3, True)
            + 3 * conv(width, width, 3, True)
            + conv(4 * width, width, 3, True) + conv(width, 150, 1)
            + conv(channels[2], 256, 3, True) + conv(256, 150, 1))


def segmentor_parameters(name):
    if name == SWIN_UPERNET:
        return SWIN_TINY + uper_parameters([96, 192, 384, 768], 512)
    row = SEGMENTATION[name]
    width, backbone = WIDTH[row['arch']], vit_parameters(
        row['arch'], row['normed'])
    if name in LINEAR:
        return backbone + conv(4 * width, 150, 1)
    return backbone + pyramid_parameters(width) + uper_parameters(
        [width] * 4, width)


def build(name, cfg):
    """The model of a config; without memory where its parts allow it."""
    with scope(cfg), torch.device('cpu' if 'swin' in name else 'meta'):
        return MODELS.build(cfg.model)


@pytest.mark.parametrize('name', [*DETECTION, *SEGMENTATION])
def test_every_config_builds(name):
    model = build(name, load(name))
    parameters = (detector_parameters if name in DETECTION else
                  segmentor_parameters)(name)
    assert sum(p.numel() for p in model.parameters()) == parameters
    if 'swin' in name:
        # Every second block shifts its windows, in the last stage too.
        assert [(b.attn.window_size, b.attn.shift_size)
                for b in model.backbone.blocks] == [(7, 0), (7, 3)] * 6
    if name not in LINEAR:
        assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize('name', list(LINEAR))
def test_linear_heads_train_one_convolution(name):
    cfg = load(name)
    model = build(name, cfg).train()
    rate, weight, bias = LINEAR[name]['lr'], *(
        f'decode_head.conv_seg.{part}' for part in ('weight', 'bias'))
    assert optimized(cfg, model) == {weight: (rate, 0.05), bias: (rate, 0.)}
    assert model.decode_head.dropout is None
    leaves = [m for m in model.backbone.modules() if not list(m.children())]
    assert len(leaves) > 100 and not any(m.training for m in leaves)


@pytest.mark.parametrize('path', PATHS, ids=lambda p: p.stem)
def test_everything_that_a_config_names_is_there(path):
    pytest.importorskip(PACKAGE[path.parent.name])
    cfg = deepcopy(_load(path))
    heads = [cfg.model.get('decode_head'), cfg.model.get('auxiliary_head')]
    if 'roi_head' in cfg.model:
        boxes = cfg.model.roi_head.bbox_head
        heads = [cfg.model.roi_head.mask_head,
                 *(boxes if isinstance(boxes, list) else [boxes])]
    with scope(cfg):
        for name in ('train', 'val', 'test'):
            loader = cfg[f'{name}_dataloader']
            for step in loader.dataset.pipeline:
                assert TRANSFORMS.build(step) is not None
            assert DATA_SAMPLERS.get(loader.sampler.type) is not None
            dataset = DATASETS.build(dict(loader.dataset, lazy_init=True))
            if path in RECIPES:
                assert type(dataset).__name__ == (
                    'CocoDataset' if path.stem in DETECTION else
                    'ADE20KDataset')
            for head in heads:
                assert not head or head.num_classes == len(
                    dataset.metainfo['classes'])
        # These want annotations and a visualizer to be built.
        for registry, part in ((METRICS, cfg.val_evaluator),
                               (METRICS, cfg.test_evaluator),
                               (HOOKS, cfg.default_hooks.visualization)):
            with registry.switch_scope_and_registry(None) as scoped:
                assert scoped.get(part.type) is not None
        for name, hook in cfg.default_hooks.items():
            if name != 'visualization':
                assert HOOKS.build(hook) is not None
    assert {'strict_load', 'data_check'} <= set(cfg.default_hooks)


def optimized(cfg, model):
    """Learning rate and decay of each parameter, by name."""
    # The scaler for float16 wants a device.
    wrapper = deepcopy(dict(cfg.optim_wrapper, dtype='float32'))
    optimizer = build_optim_wrapper(model, wrapper).optimizer
    names = {id(p): n for n, p in model.named_parameters()}
    return {names[id(p)]: (group['lr'], group['weight_decay'])
            for group in optimizer.param_groups for p in group['params']}


@pytest.mark.parametrize('name, rate, decay', [
    (cascade_name('vit-s-p16', '1x'), 1e-4, 0.8),
    ('vit-small-p16-ibot-pre_upernet_4xb4-amp-160k_ade20k-512x512', 3e-5,
     0.9)])
def test_rate_and_decay_of_each_parameter(name, rate, decay):
    cfg = load(name)
    model = build(name, cfg)
    found = optimized(cfg, model)
    assert set(found) == {n for n, _ in model.named_parameters()}
    for key, parameter in model.named_parameters():
        power = 0  # of neck and heads, and of the final norm
        layer = re.match(r'backbone\.layers\.(\d+)\.', key)
        if layer:
            power = 12 - int(layer[1])
        elif re.match(r'backbone\.(patch_embed|pos_embed|cls_token)', key):
            power = 13
        exempt = key.endswith('.bias') or parameter.ndim == 1
        assert found[key] == (pytest.approx(rate * decay**power, rel=1e-9),
                              0. if exempt else 0.05), key
    # Examples, worked out.
    assert found['backbone.layers.11.attn.qkv.weight'] == (
        pytest.approx(rate * decay), 0.05)
    for key in ('backbone.cls_token', 'backbone.pos_embed'):
        assert found[key] == (pytest.approx({
            1e-4: 5.497558e-6, 3e-5: 7.625597e-6}[rate], rel=1e-6), 0.05)
    assert ('backbone.ln1.weight' in found) == ('upernet' in name)


@pytest.mark.parametrize('name, rate, decay', [
    ('mask-rcnn_swin-t-p4-w7-ibot-pre_fpn_amp-ms-crop-1x_coco', 1e-4, 0.05),
    (SWIN_UPERNET, 6e-5, 0.01)])
def test_decay_of_each_parameter_of_swin(name, rate, decay):
    cfg = load(name)
    found = optimized(cfg, build(name, cfg))
    exempt = {key for key, value in found.items() if value == (rate, 0.)}
    tables = {f'backbone.stages.{stage}.blocks.{block}.attn.w_msa.'
              'relative_position_bias_table'
              for stage, depth in enumerate((2, 2, 6, 2))
              for block in range(depth)}
    norms = {f'backbone.{name}.{kind}' for kind in ('weight', 'bias')
             for name in ['patch_embed.norm']
             + [f'norm{stage}' for stage in range(4)]
             + [f'stages.{stage}.downsample.norm' for stage in range(3)]
             + [f'stages.{stage}.blocks.{block}.norm{i}'
                for stage, depth in enumerate((2, 2, 6, 2))
                for block in range(depth) for i in (1, 2)]}
    assert exempt == tables | norms
    assert {found[key] for key in set(found) - exempt} == {(rate, decay)}


def picture(folder, shape=(300, 400, 3)):
    path = str(folder / f'{len(shape)}.png')
    cv2.imwrite(path, np.random.default_rng(0).integers(
        0, 151, shape, dtype=np.uint8))
    return path


def run(cfg, loader, data):
    """A sample through the pipeline of a loader."""
    data = deepcopy(data)
    with scope(cfg):
        for step in cfg[f'{loader}_dataloader'].dataset.pipeline:
            data = TRANSFORMS.build(step)(data)
    return data


def test_detection_pipelines_run(tmp_path):
    cfg = load(cascade_name('vit-s-p16', '1x'))
    data = dict(
        img_path=picture(tmp_path), img_id=1, height=300, width=400,
        instances=[dict(bbox=[50., 40., 350., 260.], bbox_label=3,
                        ignore_flag=0,
                        mask=[[50., 40., 350., 40., 350., 260., 50., 260.]])])
    sides = set()
    for _ in range(20):
        out = run(cfg, 'train', data)
        sides.add(min(out['inputs'].shape[1:]))
        assert len(out['data_samples'].gt_instances.masks) == 1
    assert len(sides) > 3 and min(sides) >= 480 and max(sides) <= 800
    out = run(cfg, 'test', data)
    assert out['inputs'].shape == (3, 800, 1067)
    assert set(out['data_samples'].metainfo) == {
        'img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'}


@pytest.mark.parametrize('size', [512, 640])
def test_segmentation_pipelines_run(size, tmp_path):
    name = next(n for n in MULTI_SCALE if 'vit-base' in n
                and f'{size}x{size}' in n)
    cfg = load(name)
    data = dict(
        img_path=picture(tmp_path), seg_map_path=picture(tmp_path, (300, 400)),
        reduce_zero_label=True, label_map=None, seg_fields=[])
    out = run(cfg, 'train', data)
    assert out['inputs'].dtype == torch.uint8
    assert max(out['inputs'].shape[1:]) <= size
    labels = out['data_samples'].gt_sem_seg.data.unique()
    assert 255 in labels and 149 in labels and 150 not in labels
    out = run(cfg, 'val', data)
    assert out['inputs'].shape == (3, size, round(size * 4 / 3))
    out = run(cfg, 'test', data)
    assert [min(x.shape[1:]) for x in out['inputs']] == [
        round(ratio * size) for ratio in (0.5, 0.75, 1, 1.25, 1.5, 1.75)
        for _ in range(2)]
    assert [s.metainfo['flip'] for s in out['data_samples']] == [
        False, True] * 6


def test_multi_scale_hook_wraps_the_model():
    name = next(iter(MULTI_SCALE))
    cfg = load(name)
    model = build(name, cfg)
    runner = SimpleNamespace(model=model)
    with scope(cfg):
        hook = HOOKS.build(cfg.custom_hooks[0])
        hook.before_test(runner)
    assert type(runner.model).__name__ == 'SegTTAModel'
    assert runner.model.module is model
    hook.after_test(runner)
    assert runner.model is model


def test_multi_scale_hook_in_a_distributed_run():
    cfg = load(next(iter(MULTI_SCALE)))
    example = Config.fromfile(
        ROOT / 'configs/examples' / 'vit-micro-p8-ibot-pre_linear_shapes.py')
    with scope(cfg):
        model = MODELS.build(example.model)
    dist.init_process_group(
        'gloo', store=dist.HashStore(), rank=0, world_size=1)
    try:
        runner = SimpleNamespace(
            model=MMDistributedDataParallel(model, device_ids=None))
        with scope(cfg):
            HOOKS.build(cfg.custom_hooks[0]).before_test(runner)
    finally:
        dist.destroy_process_group()
    assert runner.model.module is model


# -------------------------------------------------------- configs of users


def test_cascade_on_other_classes(tmp_path):
    """A user's file that inherits ours and changes the data set."""
    name = cascade_name('vit-s-p16', '1x')
    ours = load(name)
    path = tmp_path / 'cells.py'
    path.write_text(f"""
_base_ = [__import__('ibot_mm').config_path('benchmarks/detection/{name}.py')]
metainfo = dict(classes=('nucleus', 'cell'))
bbox_head = _base_.model.roi_head.bbox_head
for head in bbox_head:
    head.update(num_classes=2)
model = dict(
    roi_head=dict(bbox_head=bbox_head, mask_head=dict(num_classes=2)))
train_dataloader = dict(
    dataset=dict(data_root='data/cells/', metainfo=metainfo))
val_dataloader = dict(
    dataset=dict(data_root='data/cells/', metainfo=metainfo))
test_dataloader = val_dataloader
val_evaluator = dict(
    ann_file='data/cells/annotations/instances_val2017.json')
test_evaluator = val_evaluator
""")
    cfg = Config.fromfile(path)
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        assert cfg[loader].dataset.metainfo.classes == ('nucleus', 'cell')
        assert cfg[loader].dataset.data_root == 'data/cells/'
        assert cfg[loader].dataset.pipeline == ours[loader].dataset.pipeline
    assert cfg.test_evaluator == dict(
        ours.test_evaluator,
        ann_file='data/cells/annotations/instances_val2017.json')
    for head, other in zip(cfg.model.roi_head.bbox_head,
                           ours.model.roi_head.bbox_head):
        assert head == dict(other, num_classes=2)
    for key in ('optim_wrapper', 'param_scheduler', 'auto_scale_lr'):
        assert cfg[key] == ours[key]
    roi_head = build(name, cfg).roi_head
    assert [h.fc_cls.out_features for h in roi_head.bbox_head] == [3] * 3
    assert [h.conv_logits.out_channels for h in roi_head.mask_head] == [2] * 3


@pytest.mark.parametrize('name', [next(iter(UPERNET)), next(iter(LINEAR))])
def test_segmentor_on_other_classes(name, tmp_path):
    ours = load(name)
    path = tmp_path / 'roads.py'
    path.write_text(f"""
_base_ = [__import__('ibot_mm').config_path(
    'benchmarks/segmentation/{name}.py')]
metainfo = dict(classes=('ground', 'road', 'car'),
                palette=[[0, 0, 0], [90, 90, 90], [255, 0, 0]])
dataset = dict(
    type='BaseSegDataset', data_root='data/roads', metainfo=metainfo,
    img_suffix='.jpg', seg_map_suffix='.png', reduce_zero_label=True)
model = dict(decode_head=dict(num_classes=3))
if 'auxiliary_head' in _base_.model:
    model['auxiliary_head'] = dict(num_classes=3)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
""")
    cfg = Config.fromfile(path)
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        dataset = cfg[loader].dataset
        assert dataset.metainfo.classes == ('ground', 'road', 'car')
        assert dataset == dict(
            ours[loader].dataset, type='BaseSegDataset',
            data_root='data/roads', metainfo=dataset.metainfo,
            img_suffix='.jpg', seg_map_suffix='.png', reduce_zero_label=True)
    assert cfg.model == dict(ours.model, **{
        key: dict(ours.model[key], num_classes=3)
        for key in ('decode_head', 'auxiliary_head') if key in ours.model})
    for key in ('optim_wrapper', 'param_scheduler', 'auto_scale_lr'):
        assert cfg[key] == ours[key]
    assert build(name, cfg).decode_head.conv_seg.out_channels == 3


def documented_examples():
    """Configs of users that docs/dense_tasks.md shows."""
    page = (ROOT / 'docs' / 'dense_tasks.md').read_text()
    blocks = re.findall(r'```python\n(.*?)```', page, flags=re.S)
    return [textwrap.dedent(b) for b in blocks if '_base_' in b]


@pytest.mark.parametrize('text', documented_examples())
def test_documented_examples_build(text, tmp_path):
    (tmp_path / 'mine.py').write_text(text)
    cfg = Config.fromfile(tmp_path / 'mine.py')
    build('mine', cfg)
    for loader in ('train_dataloader', 'val_dataloader'):
        dataset = cfg[loader].dataset
        classes = dataset.get('metainfo', {}).get('classes')
        heads = ([cfg.model.decode_head, cfg.model.auxiliary_head]
                 if 'decode_head' in cfg.model else
                 [cfg.model.roi_head.bbox_head, cfg.model.roi_head.mask_head])
        if isinstance(heads[0], list):
            heads = [*heads[0], heads[1]]
        assert {head.num_classes for head in heads} == {
            len(classes) if classes else 80}
        for step in dataset.pipeline:
            if step['type'] == 'LoadAnnotations':
                assert step.get('reduce_zero_label') is None


# ------------------------------------------------------ readmes and metafiles


def entries(path):
    return {m['Name']: m for m in yaml.safe_load(
        (ROOT / path).read_text())['Models']}


TASKS = {
    'box AP (paper)': ('Object Detection', 'COCO'),
    'mask AP (paper)': ('Instance Segmentation', 'COCO'),
    'mIoU (paper)': ('Semantic Segmentation', 'ADE20K'),
}


def published(name):
    """The figures of a config under their keys in the metafiles."""
    aim = AIMS[name]
    keys = ('box AP (paper)', 'mask AP (paper)') if name in DETECTION else (
        'mIoU (paper)', )
    return dict(zip(keys, aim)) if aim else {}


@pytest.mark.parametrize('folder', list(PACKAGE))
def test_readmes_link_every_config(folder):
    readme = (FOLDER / folder / 'README.md').read_text()
    for path in (FOLDER / folder).glob('*.py'):
        assert f'({path.name})' in readme
    for link in re.findall(r'\]\(([\w-]+\.py)\)', readme):
        assert (FOLDER / folder / link).is_file()
    rows = [line for line in readme.splitlines() if line.startswith('| [')]
    for name in DETECTION if folder == 'detection' else SEGMENTATION:
        row, = (row for row in rows if f'({name}.py)' in row)
        assert sorted(figures_in(row.rsplit('.py)', 1)[1])) == sorted(
            figures_of(name))


@pytest.mark.parametrize('folder', list(PACKAGE))
def test_metafiles_know_every_recipe(folder):
    path = f'configs/benchmarks/{folder}/metafile.yml'
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    assert path in index['Import']
    names = DETECTION if folder == 'detection' else SEGMENTATION
    models = entries(path)
    assert set(models) == set(names)
    for name, entry in models.items():
        cfg = load(name)
        assert entry['Config'] == f'configs/benchmarks/{folder}/{name}.py'
        metadata = entry['Metadata']
        assert metadata['Batch Size'] == cfg.auto_scale_lr.base_batch_size
        if folder == 'detection':
            assert metadata['Epochs'] == cfg.train_cfg.max_epochs
        else:
            assert metadata['Iterations'] == cfg.train_cfg.max_iters
        found = {}
        for result in entry['Results'] or []:
            (key, value), = result['Metrics'].items()
            assert (result['Task'], result['Dataset']) == TASKS[key]
            found[key] = value
        assert found == published(name)
        assert found or entry['Results'] is None


DOWNSTREAM = {
    'ibot_vit-small-p16_16xb64-multicrop-800e_in1k': {
        cascade_name('vit-s-p16', '1x'):
        {'box AP (paper)': 49.4, 'mask AP (paper)': 42.6},
        'vit-small-p16-ibot-pre_upernet_4xb4-amp-160k_ade20k-512x512':
        {'mIoU (paper)': 45.4}},
    'ibot_vit-base-p16_16xb64-multicrop-400e_in1k': {
        cascade_name('vit-b-p16', '1x'):
        {'box AP (paper)': 51.2, 'mask AP (paper)': 44.2},
        'vit-base-p16-ibot-pre_upernet_8xb2-amp-160k_ade20k-512x512':
        {'mIoU (paper)': 50.0},
        'vit-base-p16-ibot-pre_linear_4xb4-amp-160k_ade20k-512x512':
        {'mIoU (paper)': 38.3}},
    'ibot_vit-base-p16_16xb64-multicrop-rand-400e_in1k': {
        cascade_name('vit-b-p16', '1x'): {'box AP (paper)': 51.5}},
}


def test_downstream_results_of_the_pre_trained_models():
    found = {}
    for name, entry in entries('configs/ibot/metafile.yml').items():
        for downstream in entry.get('Downstream') or []:
            path = ROOT / downstream['Config']
            assert path.is_file()
            if path.parent.name in PACKAGE:
                (key, value), = downstream['Metrics'].items()
                assert downstream['Type'] == TASKS[key][0]
                found.setdefault(name, {}).setdefault(
                    path.stem, {})[key] = value
    assert found == DOWNSTREAM
