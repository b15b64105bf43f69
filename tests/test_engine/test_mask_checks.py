"""Mask heads without masks, and masks without a head, are reported at once."""

import json
from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from PIL import Image

from ibot_mm import config_path
from ibot_mm.engine import DataCheckHook

pytest.importorskip('mmcv.ops')
mmdet = pytest.importorskip('mmdet.datasets')
evaluation = pytest.importorskip('mmdet.evaluation')
CLASSES = tuple(f'k{i}' for i in range(80))
SQUARE = [[1, 1, 5, 1, 5, 4, 1, 4]]


@pytest.fixture(scope='module', params=['mask', 'cascade-mask'])
def configs(request):
    """Config of a model with a mask head, and without."""
    cfg = Config.fromfile(config_path(
        f'mmdet::_base_/models/{request.param}-rcnn_r50_fpn.py')).model
    boxes = deepcopy(cfg)
    boxes.roi_head.update(mask_roi_extractor=None, mask_head=None)
    return cfg, boxes


@pytest.fixture(scope='module')
def models(configs):
    with DefaultScope.overwrite_default_scope('mmdet'), torch.device('meta'):
        return [MODELS.build(cfg) for cfg in configs]


def data(root, with_mask, **shape):
    """Two images with a box each; ``segmentation`` of the second."""
    box = dict(category_id=3, bbox=[1, 1, 4, 3], area=12, iscrowd=0)
    (root / 'boxes.json').write_text(json.dumps(dict(
        images=[dict(id=i, file_name=f'{i}.png', width=8, height=6)
                for i in (1, 2)],
        annotations=[dict(box, id=1, image_id=1, segmentation=SQUARE),
                     dict(box, id=2, image_id=2, **shape)],
        categories=[dict(id=3 + i, name=name)
                    for i, name in enumerate(CLASSES)])))
    for i in (1, 2):
        Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(root / f'{i}.png')
    return mmdet.CocoDataset(
        data_root=str(root), ann_file='boxes.json', data_prefix=dict(img=''),
        metainfo=dict(classes=CLASSES), serialize_data=False,
        pipeline=[dict(type='LoadImageFromFile'),
                  dict(type='mmdet.LoadAnnotations', with_mask=with_mask)])


def check(model, train, val=None, metric='bbox', **settings):
    loop = SimpleNamespace(
        dataloader=SimpleNamespace(dataset=val or train),
        evaluator=SimpleNamespace(
            metrics=[evaluation.CocoMetric(metric=metric)]))
    DataCheckHook(**settings).before_train(SimpleNamespace(
        model=model, optim_wrapper=None, val_loop=loop,
        train_loop=SimpleNamespace(
            dataloader=SimpleNamespace(dataset=train))))


def test_masks_that_nobody_makes_are_not_evaluated(models, tmp_path):
    masks, boxes = models
    dataset = data(tmp_path, True, segmentation=SQUARE)
    check(masks, dataset, metric=['bbox', 'segm'])
    check(boxes, dataset)
    with pytest.raises(ValueError, match=(
            'val_evaluator.metric has "segm".*model.roi_head.mask_head')):
        check(boxes, dataset, metric=['bbox', 'segm'])
    check(boxes, dataset, metric=['bbox', 'segm'], checks=('heads', ))


@pytest.mark.parametrize('shape', [{}, dict(segmentation=[])],
                         ids=['none', 'empty'])
def test_boxes_without_segmentation(models, tmp_path, shape):
    dataset = data(tmp_path, True, **shape)
    # What MMDetection says, without key or file, when it comes to the image.
    with pytest.raises(KeyError, match="^'mask'$"):
        dataset[1]
    for model in models:
        with pytest.raises(ValueError, match=(
                'train_dataloader.dataset: in ".*boxes.json" a box of '
                '".*2.png".*with_mask=True')):
            check(model, dataset)
    dataset = data(tmp_path, False, **shape)
    check(models[1], dataset)
    with pytest.raises(ValueError, match='val_dataloader.* has "segm"'):
        check(models[0], data(tmp_path, True, segmentation=SQUARE), dataset,
              metric='segm')


def test_a_mask_head_needs_masks_to_train(models, tmp_path):
    masks, boxes = models
    dataset = data(tmp_path, False, segmentation=SQUARE)
    with pytest.raises(ValueError, match=(
            'train_dataloader.dataset: .* with_mask=False')):
        check(masks, dataset)
    # The evaluator reads the masks of the validation data from their file.
    check(masks, data(tmp_path, True, segmentation=SQUARE), dataset,
          metric=['bbox', 'segm'])
