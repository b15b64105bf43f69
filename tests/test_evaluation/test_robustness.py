"""Metrics of the robustness tests, by hand."""

import json

import pytest
import torch

from ibot_mm.evaluation import (
    BackgroundAccuracy,
    CorruptionError,
    RestrictedAccuracy,
    VariantAccuracy,
)
from ibot_mm.evaluation.robustness.perturbation_accuracy import (
    PerturbationAccuracy,
)
from ibot_mm.evaluation.robustness.perturbations import (
    drop_patches,
    first_patches,
    permutations,
    shuffle_cells,
)

# Of the README of ImageNet-C, in the order of the table.
ALEXNET = dict(
    gaussian_noise=.886428, shot_noise=.894468, impulse_noise=.922640,
    defocus_blur=.819880, glass_blur=.826268, motion_blur=.785948,
    zoom_blur=.798360, snow=.866816, frost=.826572, fog=.819324,
    brightness=.564592, contrast=.853204, elastic_transform=.646056,
    pixelate=.717840, jpeg_compression=.606500, speckle_noise=.845388,
    gaussian_blur=.787108, spatter=.717512, saturate=.658248)


def evaluate(metric, meta, *predictions):
    """Metrics of (variant, scores, label)."""
    metric.dataset_meta = meta
    for variant, scores, label in predictions:
        metric.process(None, [dict(
            variant=variant, pred_score=torch.tensor(scores),
            gt_label=torch.tensor([label]))])
    return metric.evaluate(size=len(predictions))


def test_scores_are_restricted_to_the_classes_of_the_set():
    """Class 1 is not in the set: its score of 0.5 does not count."""
    metrics = evaluate(
        RestrictedAccuracy(), dict(present_classes=[0, 3], classes='abcd'),
        ('', [.2, .5, .2, .1], 0),
        ('', [.2, .5, .0, .3], 3),
        ('', [.2, .5, .0, .3], 0),
        ('', [.3, .3, .3, .1], 3))
    assert metrics == {'restricted/top1': 50., 'restricted/classes': 2}


def test_classes_of_another_number_raise():
    with pytest.raises(ValueError, match='3 classes.*classes_from'):
        evaluate(VariantAccuracy(), dict(classes='ab'), ('', [1., 0, 0], 0))
    with pytest.raises(ValueError, match='class 7.*0 to 2'):
        evaluate(RestrictedAccuracy(), dict(present_classes=[0, 7]),
                 ('', [1., 0, 0], 0))


@pytest.fixture
def mapping(tmp_path):
    """Four classes: two dogs, a bird, and one that is neither."""
    path = tmp_path / 'in_to_in9.json'
    path.write_text(json.dumps({'0': 0, '1': 0, '2': 1, '3': -1}))
    return path


def test_gap_of_backgrounds(mapping):
    """Same: 3 of 4; random: 1 of 4."""
    dog, dog2, bird, other = torch.eye(4).tolist()
    metrics = evaluate(
        BackgroundAccuracy(), dict(data_root=str(mapping.parent)),
        ('mixed_same', dog, 0), ('mixed_same', dog2, 0),
        ('mixed_same', bird, 1), ('mixed_same', other, 1),
        ('mixed_rand', dog, 1), ('mixed_rand', bird, 0),
        ('mixed_rand', dog2, 0), ('mixed_rand', other, 0),
        ('original', bird, 1))
    assert metrics == {
        'in9/mixed_same': 75., 'in9/mixed_rand': 25., 'in9/original': 100.,
        'in9/bg_gap': 50.}


def test_a_class_that_the_mapping_leaves_out_is_in_no_group(tmp_path):
    path = tmp_path / 'in_to_in9.json'
    path.write_text('{"0": 0, "2": 1}')
    metrics = evaluate(
        BackgroundAccuracy(str(path)), {}, ('original', [1., 0, 0], 0),
        ('original', [0, 1., 0], 1), ('original', [0, 0, 1.], 1))
    assert metrics['in9/original'] == pytest.approx(200 / 3)


def test_the_mapping_of_another_classifier(mapping, tmp_path):
    sample = 'original', [1., 0, 0], 0
    with pytest.raises(ValueError, match='mapping'):
        evaluate(BackgroundAccuracy(str(mapping)), {}, sample)
    with pytest.raises(FileNotFoundError, match=r'in_to_in9\.json'):
        evaluate(BackgroundAccuracy(), dict(data_root=str(tmp_path / 'x')),
                 sample)


def errors(rates, skip=()):
    """Metrics of a network with these errors, in percent."""
    metric, results = CorruptionError(), []
    for name, rate in rates.items():
        for severity in range(1, 6):
            # The mean over severities counts, not each.
            wrong = round(1e6 * rate) + (severity - 3) * 1000
            if f'{name}/{severity}' not in skip:
                results += [(f'{name}/{severity}', 1e6 - wrong, 1e6)]
    metric.results = results
    return metric.compute_metrics(results)


@pytest.fixture
def counted(monkeypatch):
    """Results are numbers of correct predictions and of images."""
    monkeypatch.setattr(
        VariantAccuracy, 'compute_metrics', lambda self, results: {
            name: 100 * correct / total for name, correct, total in results})


def test_alexnet_has_a_mean_corruption_error_of_100(counted):
    metrics = errors(ALEXNET)
    assert metrics['mce'] == pytest.approx(100)
    assert metrics['fog'] == pytest.approx(81.9324)
    first = list(ALEXNET.values())[:15]
    assert metrics['mean_15'] == pytest.approx(100 * sum(first) / 15)
    assert metrics['mean_19'] == pytest.approx(
        100 * sum(ALEXNET.values()) / 19)
    half = errors({name: rate / 2 for name, rate in ALEXNET.items()})
    assert half['mce'] == pytest.approx(50)


def test_means_need_all_corruptions(counted):
    """Without one of the 15 there is no mean; without an extra one, two."""
    metrics = errors(ALEXNET, ['snow/4'])
    assert not {'mce', 'mean_15', 'mean_19', 'snow'} & set(metrics)
    assert metrics['fog'] == pytest.approx(81.9324)
    metrics = errors(ALEXNET, ['spatter/1'])
    assert {'mce', 'mean_15'} <= set(metrics) and 'mean_19' not in metrics


def test_errors_of_predictions():
    """Severities 1 to 5 of fog: 1 of 2, 0, 0, 0 and 1 of 1 wrong."""
    right, wrong = [1., 0.], [0., 1.]
    metrics = evaluate(
        CorruptionError(), {}, ('fog/1', right, 0), ('fog/1', wrong, 0),
        *((f'fog/{s}', right, 0) for s in (2, 3, 4)), ('fog/5', wrong, 0))
    assert metrics == {'corruption/fog': 30.}


def test_dropped_patches_are_zero():
    images = torch.ones(2, 1, 4, 6)
    dropped = torch.zeros(2, 2, 2, dtype=torch.bool)
    dropped[0, 1, 0] = dropped[1, 0, 1] = True
    result = drop_patches(images, dropped)
    assert result[0, 0, 2:, :3].sum() == result[1, 0, :2, 3:].sum() == 0
    assert result.sum() == 48 - 12
    assert torch.equal(images, torch.ones(2, 1, 4, 6))


def test_shuffled_cells():
    image = torch.arange(16.).view(1, 1, 4, 4)
    # Cells of 2 x 2, by the place that they come to.
    shuffled = shuffle_cells(image, (2, 2), torch.tensor([[3, 0, 1, 2]]))
    assert shuffled[0, 0].tolist() == [
        [10, 11, 0, 1], [14, 15, 4, 5], [2, 3, 8, 9], [6, 7, 12, 13]]
    wide = shuffle_cells(image, (2, 1), torch.tensor([[1, 0]]))
    assert wide.flatten().tolist() == [*range(8, 16), *range(8)]
    assert torch.equal(shuffle_cells(
        image, (1, 1), permutations(1, [(0, 0)])), image)


def test_random_patches():
    order = permutations(10, [(0, i) for i in range(500)])
    for ratio, count in ((0., 0), (.3, 3), (.35, 3), (.9, 9)):
        lost = first_patches(order, ratio, (2, 5))
        assert lost.shape == (500, 2, 5)
        assert (lost.flatten(1).sum(1) == count).all()
    # Each patch is as likely as any other.
    share = first_patches(order, .5, (2, 5)).double().mean(0)
    assert (share - .5).abs().max() < 4 * (.25 / 500)**.5
    assert torch.equal(permutations(10, [(0, 7)])[0], order[7])


def test_accuracy_at_half_of_the_patches():
    """Between a loss of 0.25 (80 %) and 0.75 (40 %): 60 %."""
    accuracy = PerturbationAccuracy(
        [('clean', ''), ('salient', '0.1'), ('salient', '0.4'),
         ('shuffle', '2x2'), ('shuffle', '4x4')], 2)
    accuracy.add('clean', '', 0, torch.tensor([True, True]))
    lost = torch.tensor([[[True, False], [False, False]]] * 5)
    accuracy.add('salient', '0.1', 0,
                 torch.tensor([True, True, True, True, False]), lost)
    accuracy.add('salient', '0.4', 0,
                 torch.tensor([True, True, False, False, False]), ~lost)
    for repeat, correct in enumerate(([True, False], [False, False])):
        accuracy.add('shuffle', '2x2', repeat, torch.tensor(correct))
    assert accuracy.metrics() == pytest.approx({
        'clean': 100, 'salient_0.1': 80, 'salient_0.1_loss': .25,
        'salient_0.4': 40, 'salient_0.4_loss': .75, 'salient_at_0.5': 60,
        'shuffle_2x2': 25, 'shuffle_2x2_std': 1250**.5})
