"""A classifier on images with dropped and shuffled patches."""

from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from ibot_mm.engine.loops import perturbation_loop
from ibot_mm.models import LinearClassifier
from tests.helpers.builders import ARCH

BACKBONE = dict(type='ibot_mm.IBOTViT', arch=ARCH, img_size=32, patch_size=8)


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(1)
    classifier = LinearClassifier(
        BACKBONE,
        head=dict(type='mmpretrain.LinearClsHead', num_classes=12,
                  in_channels=24),
        data_preprocessor=dict(
            type='mmpretrain.ClsDataPreprocessor', mean=[120.] * 3,
            std=[60.] * 3))
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return classifier


def runner(model, shapes, work_dir, batch_size=24, **settings):
    init_default_scope('mmpretrain')
    return Runner(
        model, str(work_dir), default_scope='mmpretrain',
        experiment_name=f'{work_dir.parent.name}{work_dir.name}',
        default_hooks=dict(logger=None),
        test_evaluator=[],
        test_cfg=dict(type='ibot_mm.PerturbationTestLoop', repeats=2,
                      **{'drop_grid': (4, 4), **settings}),
        test_dataloader=dict(
            batch_size=batch_size, num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dict(
                type='ibot_mm.LabeledDataset', data_root=str(shapes / 'val'),
                pipeline=[dict(type='ibot_mm.LoadImage'),
                          dict(type='Resize', scale=(32, 32)),
                          dict(type='PackInputs')])))


@pytest.fixture(scope='module')
def tested(model, shapes, tmp_path_factory):
    """The metrics, and the images and labels."""
    run = runner(
        model, shapes, tmp_path_factory.mktemp('one'), ratios=[0., .5],
        masses=[.1, .4, 1.], grids=[(1, 1), (2, 4), (4, 4), (14, 14)])
    metrics = {key.removeprefix('perturbation/'): value
               for key, value in run.test().items()}
    batch = next(iter(run.test_dataloader))
    labels = torch.cat([s.gt_label for s in batch['data_samples']])
    return metrics, model.data_preprocessor(batch)['inputs'], labels, run


def accuracy(model, images, labels):
    with torch.no_grad():
        return 100 * float((model(images).argmax(1) == labels).float().mean())


def test_nothing_dropped_and_nothing_shuffled(model, tested):
    metrics, images, labels, _ = tested
    clean = accuracy(model, images, labels)
    for name in ('clean', 'random_0', 'shuffle_1x1', 'non_salient_1'):
        assert metrics[name] == pytest.approx(clean), name
    assert metrics['random_0_std'] == metrics['non_salient_1_loss'] == 0


def test_everything_dropped(model, tested):
    metrics, images, labels, _ = tested
    assert metrics['salient_1'] == pytest.approx(
        accuracy(model, torch.zeros_like(images), labels))
    assert metrics['salient_1_loss'] == 1


def test_salient_patches_are_those_of_the_own_attention(model, tested):
    """The fewest patches that hold 40 %, found one after the other."""
    metrics, images, labels, _ = tested
    with torch.no_grad():
        attention = model.backbone.last_attention(images, 1)[
            :, :, 0, 1:].mean(1)
    salient, others, lost = images.clone(), images.clone(), 0
    for i, weights in enumerate(attention):
        order = weights.argsort(descending=True).tolist()
        count = 1
        while weights[order[:count]].sum() < 0.4 * weights.sum():
            count += 1
        lost += count / 16 / len(images)
        for n, patch in enumerate(order):
            row, column = 8 * (patch // 4), 8 * (patch % 4)
            (salient if n < count else others)[
                i, :, row:row + 8, column:column + 8] = 0
    assert metrics['salient_0.4_loss'] == pytest.approx(lost)
    assert metrics['non_salient_0.4_loss'] == pytest.approx(1 - lost)
    assert metrics['salient_0.4'] == pytest.approx(
        accuracy(model, salient, labels))
    assert metrics['non_salient_0.4'] == pytest.approx(
        accuracy(model, others, labels))


def test_curves_and_what_is_left_out(tested):
    metrics, *_, run = tested
    assert {'shuffle_2x4', 'random_at_0.5', 'salient_at_0.5',
            'non_salient_at_0.5'} <= set(metrics)
    assert 'shuffle_14x14' not in metrics  # 32 pixels
    png = Path(run.work_dir, 'perturbations.png').read_bytes()
    assert png.startswith(b'\x89PNG') and len(png) > 5000


@pytest.fixture
def no_curves(monkeypatch):
    """Drawing takes longer than testing."""
    monkeypatch.setattr(perturbation_loop, 'draw_curves',
                        lambda *arguments: None)


def test_batches_and_the_network_of_the_attention(model, shapes, tmp_path,
                                                   tested, no_curves):
    """Its own backbone as the reference: nothing changes."""
    weights = tmp_path / 'own.pth'
    torch.save(dict(state_dict={f'backbone.{name}': value for name, value in
                                model.backbone.state_dict().items()}), weights)
    settings = dict(ratios=[.5], masses=[.4], grids=[(4, 4)], saliency=dict(
        BACKBONE, init_cfg=dict(type='Pretrained', checkpoint=str(weights))))
    metrics = runner(model, shapes, tmp_path / 'all', 7, **settings).test()
    assert {'perturbation/random_0.5', 'perturbation/salient_0.4',
            'perturbation/shuffle_4x4'} <= set(metrics)
    metrics.pop('perturbation/random_at_0.5')  # of a single ratio
    for name, value in metrics.items():
        assert value == pytest.approx(
            tested[0][name.removeprefix('perturbation/')]), name
    head = runner(model, shapes, tmp_path / 'head', saliency_head=1,
                  **settings).test()
    assert head['perturbation/salient_0.4_loss'] != (
        metrics['perturbation/salient_0.4_loss'])


def test_a_network_without_a_cls_token(shapes, tmp_path, no_curves):
    swin = dict(type='ibot_mm.IBOTSwin', img_size=32, patch_size=2,
                window_size=4, arch=dict(embed_dims=8, depths=[1, 1],
                                         num_heads=[1, 1]), out_indices=(1, ))
    model = LinearClassifier(swin, head=dict(
        type='mmpretrain.LinearClsHead', num_classes=12, in_channels=16),
        data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor'))
    settings = dict(ratios=[.5], grids=[(2, 2)])
    with pytest.raises(ValueError, match='IBOTSwin.*saliency.*masses'):
        runner(model, shapes, tmp_path / 'one', **settings).test()
    metrics = runner(model, shapes, tmp_path / 'two', masses=[],
                     **settings).test()
    assert 'perturbation/random_0.5' in metrics


def test_a_grid_that_does_not_divide_the_image(model, shapes, tmp_path):
    with pytest.raises(ValueError, match='drop_grid.*14x14.*32x32'):
        runner(model, shapes, tmp_path / 'run', drop_grid=(14, 14)).test()
