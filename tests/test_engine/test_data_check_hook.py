"""Models that do not fit their data are refused before the start."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset, Compose, RepeatDataset
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import BaseLoop, Runner
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Subset

from ibot_mm import config_path
from ibot_mm.engine import DataCheckHook

CLASSES = ('sky', 'sea', 'land')
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=(32, 32)),
    dict(type='PackSegInputs'),
]


class Loop(BaseLoop):
    """A loop that is built but not run."""

    def run(self):
        raise NotImplementedError


class Data(list):
    """A data set with classes and, maybe, transforms."""

    def __init__(self, classes=None, *transforms):
        super().__init__([0])
        self.metainfo = {} if classes is None else dict(classes=classes)
        self.pipeline = Compose(transforms)


class RandomCrop:

    def __init__(self, *crop_size):
        self.crop_size = crop_size

    def __call__(self, results):
        return results


class Resize(RandomCrop):
    pass


def check(model, train=None, val=None, test=None, dtype=None, metrics=(),
          **cfg):
    """Run the hook; loops without a data set are not built."""
    loops = {
        f'_{name}_loop':
        dict(type='Loop') if data is None else Loop(None, DataLoader(data))
        for name, data in dict(train=train, val=val, test=test).items()
    }
    for loop in loops.values():
        if isinstance(loop, Loop):
            loop.evaluator = SimpleNamespace(metrics=metrics)
    DataCheckHook().before_run(
        SimpleNamespace(model=model, cfg=Config(cfg),
                        optim_wrapper=SimpleNamespace(dtype=dtype), **loops))


def refused(match, model, **settings):
    with pytest.raises(ValueError, match=match):
        check(model, **settings)


def segmentor(num_classes=3, **preprocessor):
    """Stands for a model of MMSegmentation, with two auxiliary heads."""
    model = nn.Module()
    model.decode_head = nn.Identity()
    model.auxiliary_head = nn.ModuleList([nn.Identity(), nn.Identity()])
    for head in (model.decode_head, *model.auxiliary_head):
        head.num_classes = num_classes
    model.data_preprocessor = SimpleNamespace(
        **{**dict(size=(32, 48), size_divisor=None), **preprocessor})
    return model


def test_numbers_of_classes():
    model = segmentor()
    check(model, Data(CLASSES), Data(CLASSES), Data(CLASSES))
    check(model, Data())
    for loop in ('train', 'val', 'test'):
        refused(f'{loop}_dataloader has 2 classes, but '
                'model.decode_head.num_classes is 3 and '
                'model.auxiliary_head.num_classes is 3; set num_classes to 2 '
                f'.*metainfo.classes of {loop}_dataloader.dataset', model,
                **{loop: Data(CLASSES[:2])})
    model.auxiliary_head[1].num_classes = 5
    refused('has 3 classes, but model.auxiliary_head.num_classes is 5; set',
            model, train=Data(CLASSES))
    refused('is the text "sky"; write', model, train=Data('sky'))


def test_behind_wrappers():
    data = Data(CLASSES[:2])
    for wrapped in (Subset(data, [0]), Subset(Subset(data, [0]), [0])):
        refused('train_dataloader has 2 classes', segmentor(), train=wrapped)
    check(segmentor(), Subset([0], [0]))
    tta = nn.Module()
    tta.module = segmentor()
    refused('but model.module.decode_head.num_classes is 3', tta, test=data)


def test_parts_of_different_metainfo():
    """Where MMDetection joins such data sets, metainfo is a list."""
    wrappers = pytest.importorskip('mmdet.datasets')

    def join(*classes):
        parts = [BaseDataset(metainfo=dict(classes=names, palette=number),
                             lazy_init=True)
                 for number, names in enumerate(classes)]
        data = wrappers.ConcatDataset(parts, lazy_init=True)
        # It has a length after the lists are read.
        data.cumulative_sizes = [1, 2]
        return data

    data = join(CLASSES, CLASSES)
    assert isinstance(data.metainfo, list)
    check(segmentor(), data)
    wrong = join(CLASSES, CLASSES[:2])
    refused('The data set of train_dataloader has 2 classes, .* '
            r'metainfo.classes of train_dataloader.dataset.datasets\[1\]',
            segmentor(), train=wrong)
    refused(r'of val_dataloader.dataset.dataset.datasets\[1\]', segmentor(),
            val=Subset(wrong, [0]))


def test_precision_of_a_detector():
    model = nn.Conv2d(1, 1, 1)
    data = Data(CLASSES)
    types = (None, torch.float16, torch.bfloat16)
    for dtype in types:
        check(model, data, dtype=dtype)
    model.roi_layers = nn.ModuleList()
    check(model, data)
    # Without training the forward pass is in float32.
    for dtype in types:
        check(model, val=data, test=data, dtype=dtype)
    for dtype in ('float16', 'bfloat16'):
        refused(f'optim_wrapper.dtype is {dtype}, but nms of mmcv .* set '
                'optim_wrapper.dtype=float32', model, train=data,
                dtype=getattr(torch, dtype))
    model.to('meta')
    check(model, data, dtype=torch.float16)
    refused('dtype is bfloat16, for which RoIAlign .* set '
            'optim_wrapper.dtype=float16, or .* --amp float16', model,
            train=data, dtype=torch.bfloat16)


def test_annotations_of_the_metric(tmp_path, monkeypatch):
    metrics = pytest.importorskip('mmdet.evaluation')
    names = ('a.json', 'b.json')
    for name in names:
        (tmp_path / name).write_text(
            json.dumps(dict(images=[], annotations=[], categories=[])))
    file, other = (str(tmp_path / name) for name in names)
    coco = metrics.CocoMetric(ann_file=file)
    data = Data(CLASSES)
    data.ann_file = other
    model = nn.Identity()
    for loop in ('val', 'test'):
        key = f'{loop}_evaluator'
        for cfg, where in (
                (dict(type='CocoMetric', ann_file=file), key),
                ([dict(type='CocoMetric', ann_file=file)], f'{key}.0'),
                (dict(type='Evaluator', metrics=dict(ann_file=file)),
                 f'{key}.metrics')):
            for wrapped in (data, Subset(data, [0])):
                refused(f'{where}.ann_file is "{file}", but the data set of '
                        f'{loop}_dataloader has "{other}"; set '
                        f'{where}.ann_file to "{other}"', model,
                        metrics=[coco], **{loop: wrapped, key: cfg})
        # Another loop's file, and another metric's, do not count.
        check(model, metrics=[coco], **{loop: data})
        check(model, metrics=[metrics.CocoMetric()],
              **{loop: data, key: dict(ann_file=file)})
        remote = dict(ann_file=file, backend_args=dict(backend='petrel'))
        check(model, metrics=[coco], **{loop: data, key: remote})
    check(model, data, metrics=[coco], val_evaluator=dict(ann_file=file))
    # One file may have several paths.
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'link').symlink_to(tmp_path)
    for path in ('b.json', './b.json', str(tmp_path / 'link' / 'b.json')):
        check(model, val=data, metrics=[coco],
              val_evaluator=dict(ann_file=path))


def test_heads_of_a_detector():
    pytest.importorskip('mmdet')
    pytest.importorskip('mmcv.ops')
    cfg = Config.fromfile(
        config_path('mmdet::_base_/models/cascade-mask-rcnn_r50_fpn.py'))
    with DefaultScope.overwrite_default_scope('mmdet'), torch.device('meta'):
        model = MODELS.build(cfg.model)
    data = Data([str(i) for i in range(80)])
    check(model, data, dtype=torch.float16)
    refused('dtype is bfloat16, for which RoIAlign', model, train=data,
            dtype=torch.bfloat16)
    refused('has 3 classes, but model.roi_head.bbox_head.num_classes is 80 '
            'and model.roi_head.mask_head.num_classes is 80; set num_classes '
            'to 3 .in each head of a list', model, train=Data(CLASSES))
    for head in model.roi_head.bbox_head:
        head.num_classes = 3
    model.roi_head.mask_head[2].class_agnostic = True
    refused('but model.roi_head.mask_head.num_classes is 80; ', model,
            train=Data(CLASSES))
    for head in model.roi_head.mask_head:
        head.class_agnostic = True
    check(model, Data(CLASSES))


def test_crops_that_no_size_holds():
    crop = RandomCrop(32, 48)
    check(segmentor(), Data(CLASSES, crop))
    check(segmentor(size=None, size_divisor=32), Data(CLASSES, crop))
    for size in ((32, 32), (16, 48), 48):
        size_words = str(size).replace('(', '.').replace(')', '.')
        refused(f'model.data_preprocessor.size={size_words} is no .* holds '
                r'the crop_size=\(32, 48\) of RandomCrop .*; set '
                r'model.data_preprocessor.size to \(32, 48\)',
                segmentor(size=size), train=Data(CLASSES, crop))
    # Only training crops, and only the last crop counts.
    check(segmentor(), Data(CLASSES), Data(CLASSES, RandomCrop(64, 64)))
    check(segmentor(), Data(CLASSES, RandomCrop(64, 64), crop))
    check(segmentor(), Data(CLASSES, RandomCrop(64, 64), Resize(32, 48)))


def test_batches_that_are_not_padded():
    for size, divisor in ((None, None), ((32, 48), 16)):
        model = segmentor(size=size, size_divisor=divisor)
        refused('data_preprocessor has size=.* and size_divisor=.*, of which '
                r'one .* set model.data_preprocessor.size to \(32, 48\)',
                model, train=Data(CLASSES, RandomCrop(32, 48)))
        check(model, Data(CLASSES))
    # The preprocessors of other hosts have no such setting.
    model.data_preprocessor = nn.Identity()
    check(model, Data(CLASSES, RandomCrop(32, 48)))


@pytest.fixture()
def runner(tmp_path):
    """Builds runners of a tiny segmentor on four images."""
    pytest.importorskip('mmseg')
    random = np.random.default_rng(0)
    for i in range(4):
        # One is smaller than the crop.
        side = 24 if i == 1 else 40
        for folder, shape, high in (('img', (side, side, 3), 256),
                                    ('ann', (side, side), len(CLASSES))):
            path = tmp_path / folder / f'{i}.png'
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(random.integers(0, high, shape,
                                            np.uint8)).save(path)
    count = iter(range(9))

    def dataloader(pipeline, root=tmp_path, repeat=False, **changes):
        dataset = dict(
            type='ibot_mm.CheckedSegDataset', dataset_type='BaseSegDataset',
            data_root=str(root), img_suffix='.png',
            data_prefix=dict(img_path='img', seg_map_path='ann'),
            metainfo=dict(classes=CLASSES), pipeline=pipeline,
            serialize_data=False)
        if repeat:
            dataset = dict(type=RepeatDataset, times=2, dataset=dataset)
        return dict(dataset=dataset, batch_size=4, num_workers=0,
                    sampler=dict(type='DefaultSampler', shuffle=True),
                    **changes)

    def build(num_classes=3, size=(32, 32), root=tmp_path):
        return Runner(
            model=dict(
                type='EncoderDecoder',
                data_preprocessor=dict(type='SegDataPreProcessor', size=size),
                backbone=dict(
                    type='ibot_mm.IBOTViT', arch=dict(
                        embed_dims=8, num_layers=1, num_heads=1,
                        feedforward_channels=8),
                    img_size=32, patch_size=8, out_type='featmap'),
                decode_head=dict(
                    type='FCNHead', in_channels=8, channels=4, num_convs=1,
                    num_classes=num_classes),
                test_cfg=ConfigDict(mode='whole')),
            work_dir=str(tmp_path / 'work'),
            train_dataloader=dataloader(PIPELINE, root, repeat=True),
            train_cfg=dict(by_epoch=False, max_iters=2),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            test_dataloader=dataloader(
                [PIPELINE[0], dict(type='Resize', scale=(32, 32)),
                 PIPELINE[1], PIPELINE[-1]]),
            test_cfg=dict(), test_evaluator=dict(type='IoUMetric'),
            custom_hooks=[dict(type='ibot_mm.DataCheckHook')],
            default_scope='mmseg', log_level='WARNING',
            experiment_name=f'data_check_{tmp_path.name}_{next(count)}')

    # A Runner leaves its scope behind.
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield build


def test_in_a_runner(runner):
    run = runner()
    run.train()
    assert run.iter == 2
    # Wrong settings stop before weights are initialised.
    for words, settings in (
            ('model.decode_head.num_classes is 4; ', dict(num_classes=4)),
            (r'size=\(24, 32\) is no .* holds', dict(size=(24, 32))),
            ('has size=None and size_divisor=None', dict(size=None))):
        run = runner(**settings)
        run.model.init_weights = None
        with pytest.raises(ValueError, match=words):
            run.train()


def test_a_test_run_builds_no_training_data(runner, tmp_path):
    run = runner(root=tmp_path / 'no')
    assert 'mIoU' in run.test()
    assert isinstance(run._train_loop, dict)
    with pytest.raises(ValueError, match='of test_dataloader has 3 classes'):
        runner(num_classes=4, root=tmp_path / 'no').test()
