"""Models that do not fit their data are reported before the first step."""

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import HOOKS, MODELS, DefaultScope
from mmengine.runner import Runner
from PIL import Image
from torch import nn
from torch.utils.data import Subset

from ibot_mm import config_path
from ibot_mm.engine import DataCheckHook

mmdet = pytest.importorskip('mmdet.datasets')
mmseg = pytest.importorskip('mmseg.datasets')

CLASSES = ('sky', 'sea', 'land')
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=(32, 32)),
    dict(type='PackSegInputs'),
]
LABELS = [dict(type='mmseg.LoadAnnotations')]


def check(model, train=None, val=None, test=None, optim_wrapper=None,
          **settings):
    """Run the hook on data sets that a Runner would have built."""
    runner = SimpleNamespace(model=model, optim_wrapper=optim_wrapper)
    for name, data in dict(train=train, val=val, test=test).items():
        loop = data if data is None else SimpleNamespace(
            dataloader=SimpleNamespace(dataset=data))
        setattr(runner, f'{name}_loop', loop)
    hook = DataCheckHook(**settings)
    hook.before_test(runner) if test is not None else hook.before_train(runner)


def fails(match, model, error=ValueError, **settings):
    with pytest.raises(error, match=match):
        check(model, **settings)


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)


# ------------------------------------------------------------- segmentation


@pytest.fixture()
def maps(tmp_path):
    """Four images and their label maps, one in a sub-folder."""
    random = np.random.default_rng(0)
    for name, side in (('0', 40), ('1', 24), ('2', 40), ('more/3', 40)):
        for folder, shape, high in (('img', (side, side, 3), 256),
                                    ('ann', (side, side), len(CLASSES))):
            write(tmp_path / folder / f'{name}.png',
                  random.integers(0, high, shape))
    return tmp_path


def seg_data(root, classes=CLASSES, **changes):
    return mmseg.BaseSegDataset(**{
        **dict(data_root=str(root), img_suffix='.png', pipeline=LABELS,
               data_prefix=dict(img_path='img', seg_map_path='ann'),
               metainfo=dict(classes=classes), serialize_data=False),
        **changes
    })


def segmentor(num_classes=3):
    """Stands for a model of MMSegmentation, with two auxiliary heads."""
    model = nn.Module()
    model.decode_head = nn.Identity()
    model.auxiliary_head = nn.ModuleList([nn.Identity(), nn.Identity()])
    for head in (model.decode_head, *model.auxiliary_head):
        head.num_classes = num_classes
    return model


def test_heads_of_a_segmentor(maps):
    model, right, wrong = segmentor(), seg_data(maps), seg_data(
        maps, CLASSES + ('ice', ))
    check(model, right, right)
    check(model, test=right)
    for split in ('train', 'val', 'test'):
        fails(f'^{split}_dataloader.dataset has 4 classes, but '
              'model.decode_head.num_classes is 3', model, **{split: wrong})
    model.auxiliary_head[1].num_classes = 5
    fails('model.auxiliary_head.1.num_classes is 5', model, train=right)
    check(model, right, checks=('labels', 'files'))


def test_wrappers_are_looked_into(maps):
    right, wrong = seg_data(maps), seg_data(maps, CLASSES + ('ice', ))
    for wrapped, key in (
            (Subset(wrong, [0]), 'dataset'),
            (Subset(RepeatDataset(wrong, 2), [0]), 'dataset.dataset'),
            (mmdet.ConcatDataset([right, wrong]), 'datasets.1'),
            (ConcatDataset([right, wrong], ignore_keys=['classes',
                                                        'palette']),
             'datasets.1'),
            (mmdet.MultiImageMixDataset(wrong, []), 'dataset')):
        fails(f'^train_dataloader.dataset.{key} has 4 classes', segmentor(),
              train=wrapped)
    check(segmentor(), RepeatDataset(right, 2))


@pytest.mark.parametrize('values, reduce_zero, words', [
    ([[0, 1, 3]], False, r'/ann/2.png" .* wrong labels \[3\].* 0 to 2'),
    ([[0, 1, 4]], True, r'/ann/2.png" .* wrong labels \[3\].* 0 to 2'),
    (np.zeros((2, 3, 3)), False, r'/ann/2.png" has the shape \(2, 3, 3\)'),
])
def test_labels_of_a_map(maps, values, reduce_zero, words):
    data = seg_data(maps, reduce_zero_label=reduce_zero)
    check(segmentor(), data)
    write(maps / 'ann' / '2.png', values)
    fails(words, segmentor(), train=data)
    fails(words, segmentor(), test=data)
    check(segmentor(), data, checks=('heads', 'files'))
    # Of two maps, the first and the last.
    check(segmentor(), data, num_samples=2)


def test_labels_that_are_right(maps):
    """255 is ignored; classes that are left out become 255."""
    write(maps / 'ann' / '2.png', [[0, 1, 255]])
    check(segmentor(), seg_data(maps))
    fails(r'wrong labels \[255\]', segmentor(),
          train=seg_data(maps, ignore_index=9))
    write(maps / 'ann' / '2.png', [[0, 1, 150]])
    two = mmseg.ADE20KDataset(
        data_root=str(maps), img_suffix='.png', pipeline=LABELS,
        data_prefix=dict(img_path='img', seg_map_path='ann'),
        metainfo=dict(classes=('wall', 'bed ')), serialize_data=False)
    check(segmentor(2), two)
    write(maps / 'ann' / '2.png', [[0, 1, 200]])
    fails(r'wrong labels \[199\]', segmentor(2), train=two)


def test_files_that_do_not_exist(maps):
    data = seg_data(maps)
    (maps / 'ann' / 'more' / '3.png').unlink()
    fails('^val_dataloader.dataset: 1 of 8 sampled files .*/ann/more/3.png"',
          segmentor(), FileNotFoundError, val=data)
    # Without a transform that loads them, label maps are not needed.
    check(segmentor(), seg_data(maps, pipeline=[]))
    (maps / 'img' / '0.png').unlink()
    for path in (maps / 'img', maps / 'ann'):
        fails('2 of 8 sampled files .*/img/0.png", ".*/ann/more/3.png"',
              segmentor(), FileNotFoundError, train=data)
    check(segmentor(), data, checks=())


def test_remote_files_are_not_looked_for(maps):
    (maps / 'list.txt').write_text('no\n')
    fails('/img/no.png', segmentor(), FileNotFoundError,
          train=seg_data(maps, ann_file='list.txt'))
    check(segmentor(), seg_data(maps, ann_file='list.txt',
                                backend_args=dict(backend='local')))
    remote = seg_data(
        '', ann_file=str(maps / 'list.txt'),
        data_prefix=dict(img_path='s3://a', seg_map_path='s3://b'))
    check(segmentor(), remote)
    fails('num_classes is 4', segmentor(4), train=remote)


# ---------------------------------------------------------------- detection


def coco_data(root, classes, names=('cat', 'bird', 'dog'), **changes):
    """Data set of a file with these categories and two images."""
    root.mkdir(exist_ok=True)
    images = [dict(id=i, file_name=f'{i}.png', width=8, height=6)
              for i in (1, 2)]
    notes = [dict(id=i, image_id=i, category_id=3, bbox=[1, 1, 4, 3], area=12,
                  iscrowd=0) for i in (1, 2)]
    (root / 'boxes.json').write_text(json.dumps(dict(
        images=images, annotations=notes,
        categories=[dict(id=3 + 2 * i, name=name)
                    for i, name in enumerate(names)])))
    for image in images:
        write(root / 'img' / image['file_name'], np.zeros((6, 8, 3)))
    return mmdet.CocoDataset(**{
        **dict(data_root=str(root), ann_file='boxes.json',
               data_prefix=dict(img='img/'), serialize_data=False,
               metainfo=dict(classes=classes)), **changes
    })


def test_order_of_the_categories(tmp_path):
    data = partial(coco_data, tmp_path)
    model = nn.Identity()
    for right in (('cat', 'bird', 'dog'), ('cat', 'dog'), ('dog', )):
        check(model, data(right), data(right))
    # The data set itself gives "dog" the label of its place in the file.
    assert data(('dog', 'cat')).cat2label == {3: 0, 7: 1}
    fails("boxes.json\" make label 0 'cat', but .* it is 'dog'", model,
          train=data(('dog', 'cat')))
    fails("^val_dataloader.* label 1 'dog', but .* it is 'cow'", model,
          val=data(('cat', 'cow', 'dog')))
    fails("label 2 None, but .* it is 'cow'", model,
          test=data(('cat', 'dog', 'cow')))
    fails("label 1 'cat', but .* it is None", model,
          train=data(('cat', ), names=('cat', 'cat')))
    check(model, data(('dog', 'cat')), checks=('heads', 'files'))
    check(model, data(('dog', 'cat'), backend_args=dict(backend='local')))


def test_images_of_a_detector(tmp_path):
    data = coco_data(tmp_path, ('cat', ))
    (tmp_path / 'img' / '2.png').unlink()
    fails('1 of 2 sampled files .*/img/2.png', nn.Identity(),
          FileNotFoundError, train=data)


@pytest.fixture(scope='module')
def detector():
    pytest.importorskip('mmcv.ops')
    cfg = Config.fromfile(
        config_path('mmdet::_base_/models/cascade-mask-rcnn_r50_fpn.py'))
    with DefaultScope.overwrite_default_scope('mmdet'), torch.device('meta'):
        return MODELS.build(cfg.model)


def test_heads_of_a_detector(detector, tmp_path):
    names = tuple(f'k{i}' for i in range(80))
    data = coco_data(tmp_path, names, names)
    check(detector, data, data)
    check(detector, test=data)
    few = coco_data(tmp_path / 'few', ('cat', 'dog'))
    joined = mmdet.ConcatDataset([data, few])
    for split in ('train', 'val', 'test'):
        fails(rf'{split}_dataloader.dataset: .*`num_classes` .80. in '
              r'Shared2FCBBoxHead .* 2\) in CocoDataset', detector,
              **{split: few})
        fails(rf'{split}_dataloader.dataset.datasets.1: ', detector,
              **{split: joined})
    check(detector, few, checks=('categories', 'files'))


def test_precision_of_a_detector(detector, tmp_path):
    def wrapper(dtype, kind=AmpOptimWrapper):
        found = kind.__new__(kind)
        found.cast_dtype = dtype
        return found

    small = nn.Conv2d(1, 1, 1)
    for dtype in (None, torch.float16, torch.bfloat16):
        check(small, optim_wrapper=wrapper(dtype))
    # What RoIAlign of mmcv has no kernel for, on any device.
    check(detector, optim_wrapper=wrapper(torch.float16))
    check(detector, optim_wrapper=OptimWrapper.__new__(OptimWrapper))
    for optim_wrapper in (wrapper(torch.bfloat16),
                          SimpleNamespace(dtype=torch.bfloat16)):
        fails('optim_wrapper.dtype is torch.bfloat16, .* set '
              'optim_wrapper.dtype=float16', detector,
              optim_wrapper=optim_wrapper)
        check(detector, optim_wrapper=optim_wrapper, checks=('heads', ))
    small.roi_layers = nn.ModuleList()
    for dtype in (torch.float16, torch.bfloat16):
        fails('set optim_wrapper.dtype=float32', small,
              optim_wrapper=wrapper(dtype))
    check(small, optim_wrapper=wrapper(torch.float32))


def test_unknown_checks():
    with pytest.raises(ValueError, match='"head"; choose from "heads", "cat'):
        HOOKS.build(dict(type='ibot_mm.DataCheckHook', checks=('head', )))


# -------------------------------------------------------------- in a Runner


@pytest.fixture()
def runner(maps):
    """Builds runners of a tiny segmentor on the four images."""
    count = iter(range(9))

    def dataloader(pipeline, root, repeat=False):
        dataset = dict(
            type='BaseSegDataset', data_root=str(root), img_suffix='.png',
            data_prefix=dict(img_path='img', seg_map_path='ann'),
            metainfo=dict(classes=CLASSES), pipeline=pipeline,
            serialize_data=False)
        if repeat:
            dataset = dict(type=RepeatDataset, times=2, dataset=dataset)
        return dict(dataset=dataset, batch_size=4, num_workers=0,
                    sampler=dict(type='DefaultSampler', shuffle=True))

    def build(num_classes=3, root=maps, **hook):
        return Runner(
            model=dict(
                type='EncoderDecoder',
                data_preprocessor=dict(
                    type='SegDataPreProcessor', size=(32, 32)),
                backbone=dict(
                    type='ibot_mm.IBOTViT', arch=dict(
                        embed_dims=8, num_layers=1, num_heads=1,
                        feedforward_channels=8),
                    img_size=32, patch_size=8, out_type='featmap'),
                decode_head=dict(
                    type='FCNHead', in_channels=8, channels=4, num_convs=1,
                    num_classes=num_classes),
                test_cfg=ConfigDict(mode='whole')),
            work_dir=str(maps / 'work'),
            train_dataloader=dataloader(PIPELINE, root, repeat=True),
            train_cfg=dict(by_epoch=False, max_iters=2),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            test_dataloader=dataloader(
                [PIPELINE[0], dict(type='Resize', scale=(32, 32)),
                 PIPELINE[1], PIPELINE[-1]], maps),
            test_cfg=dict(), test_evaluator=dict(type='IoUMetric'),
            default_hooks=dict(
                data_check=dict(type='ibot_mm.DataCheckHook', **hook)),
            default_scope='mmseg', log_level='WARNING',
            experiment_name=f'data_check_{maps.name}_{next(count)}')

    # A Runner leaves its scope behind.
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield build


def test_in_a_runner(runner):
    run = runner()
    run.train()
    assert run.iter == 2
    run = runner(num_classes=4)
    with pytest.raises(ValueError, match='model.decode_head.num_classes is 4'):
        run.train()
    assert run.iter == 0
    # Four outputs for three classes train, if nobody looks.
    run = runner(num_classes=4, checks=())
    run.train()
    assert run.iter == 2


def test_a_test_run_builds_no_training_data(runner, tmp_path):
    run = runner(root=tmp_path / 'no')
    assert 'mIoU' in run.test()
    assert isinstance(run._train_loop, dict)
    with pytest.raises(ValueError, match='^test_dataloader.dataset has 3'):
        runner(num_classes=4, root=tmp_path / 'no').test()
