"""Classifiers with other classes than their data are reported at once."""

from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.registry import DefaultScope
from mmpretrain.evaluation import Accuracy
from mmpretrain.models import ImageClassifier
from PIL import Image

from ibot_mm.datasets import LabeledDataset
from ibot_mm.engine import DataCheckHook
from ibot_mm.models import LinearProbe
from tests.helpers.builders import ARCH

BACKBONE = dict(type='ibot_mm.IBOTViT', arch=ARCH, img_size=32, patch_size=8)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Three classes with an image each, and two list files."""
    root = tmp_path_factory.mktemp('data')
    for name in ('ant', 'bee', 'cow'):
        (root / name).mkdir()
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(
            root / name / f'{name}.png')
    (root / 'list.txt').write_text('ant/ant.png 0\ncow/cow.png 7\n')
    return root


def data(folder, **settings):
    return LabeledDataset(data_root=str(folder), **settings)


def classifier(head=3, preprocessor=3):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return ImageClassifier(
            backbone=BACKBONE,
            head=dict(type='LinearClsHead', num_classes=head, in_channels=24),
            data_preprocessor=dict(num_classes=preprocessor))


def check(model, train=None, val=None, metrics=(), **settings):
    """Run the hook on what a Runner would have built."""
    loops = [dataset and SimpleNamespace(
        dataloader=SimpleNamespace(dataset=dataset)) for dataset in (
            train, val)]
    if val:
        loops[1].evaluator = SimpleNamespace(metrics=metrics)
    DataCheckHook(**settings).before_train(SimpleNamespace(
        model=model, optim_wrapper=None, train_loop=loops[0],
        val_loop=loops[1]))


def test_classes_of_a_classifier(folder):
    right = data(folder)
    check(classifier(), right, right)
    # Without mixed labels the preprocessor needs no number.
    check(classifier(preprocessor=None), right)
    for model, words in (
            (classifier(head=4), 'model.head.num_classes is 4; .* 3'),
            (classifier(preprocessor=1000),
             'but model.data_preprocessor.num_classes is 1000; .* 3'),
            (classifier(1000, 1000), 'model.data_preprocessor.num_classes is '
             '1000 and model.head.num_classes is 1000; .* 3')):
        for split in ('train', 'val'):
            with pytest.raises(
                    ValueError,
                    match=f'^{split}_dataloader.dataset has 3 .*{words}'):
                check(model, **{split: right})
        check(model, right, checks=('files', ))


def test_classes_of_a_linear_probe(folder):
    check(LinearProbe(BACKBONE, num_classes=3), data(folder))
    with pytest.raises(ValueError, match='but model.num_classes is 2'):
        check(LinearProbe(BACKBONE, num_classes=2), data(folder))


def test_labels_of_a_list_without_class_names(folder):
    """Its largest label is 7; more classes than that may exist."""
    listed = data(folder, ann_file='list.txt')
    assert listed.metainfo.get('classes') is None
    check(classifier(8, 8), listed)
    check(classifier(1000, 1000), listed)
    for counts in ((7, 7), (7, 8), (8, 1000)):
        with pytest.raises(ValueError, match=(
                'train_dataloader.dataset has labels up to 7 .*'
                f'model.head.num_classes is {counts[0]}; .* 8')):
            check(classifier(*counts), listed)


def test_top_k_of_the_evaluator(folder):
    check(classifier(), data(folder), data(folder), [Accuracy(topk=(1, 3))])
    with pytest.raises(ValueError, match=(
            r'val_evaluator.topk is \(1, 5\), but val_dataloader.dataset has '
            r'3 classes; set val_evaluator.topk=\(1,\)')):
        check(classifier(), data(folder), data(folder),
              [Accuracy(topk=(1, 5))])
