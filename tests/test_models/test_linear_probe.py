"""The linear probe compared with separately trained classifiers."""

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample

from ibot_mm.evaluation import LinearProbeMetric
from ibot_mm.models import IBOTSwin, LinearProbe
from ibot_mm.models.classifiers.feature_extractor import pooled_tokens
from ibot_mm.models.classifiers.linear_probe import LEARNING_RATES
from tests.helpers import golden
from tests.helpers.builders import ARCH

BACKBONE = dict(type='ibot_mm.IBOTViT', arch=ARCH, img_size=32, patch_size=8)


def batch(seed, count=16, classes=4):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, 32, 32, generator=generator)
    labels = torch.randint(classes, (count, ), generator=generator)
    return images, [DataSample().set_gt_label(int(label)) for label in labels]


def test_the_45_rates():
    assert len(LEARNING_RATES) == 45
    assert LEARNING_RATES[0] == pytest.approx(1e-4)
    assert LEARNING_RATES[8] == pytest.approx(9e-4)
    assert LEARNING_RATES[9] == pytest.approx(1e-3)
    assert LEARNING_RATES[-1] == pytest.approx(9.)


def test_joint_training_equals_separate_training():
    """SGD of the sum with weights lr_i equals separate SGDs with lr_i."""
    rates = [1e-3, 0.2, 9., 1e30]  # the last one diverges at once
    torch.manual_seed(0)
    probe = LinearProbe(BACKBONE, 4, rates, n_last_blocks=2).double()
    start = probe.weight.detach().clone()
    optimizer = torch.optim.SGD(
        [p for p in probe.parameters() if p.requires_grad], 1., momentum=0.9)
    alone = []
    for rate, weight in zip(rates[:3], start):
        layer = torch.nn.Linear(48, 4).double()
        with torch.no_grad():
            layer.weight.copy_(weight)
            layer.bias.zero_()
        alone.append((layer, torch.optim.SGD(layer.parameters(), rate,
                                             momentum=0.9), rate))
    for step, schedule in enumerate((4., 3., 1.)):
        images, samples = batch(step)
        images = images.double()
        labels = torch.cat([s.gt_label for s in samples])
        features = torch.cat([cls for cls, _ in
                              probe.backbone.extract_last_blocks(images, 2)],
                             dim=1).detach()
        optimizer.param_groups[0]['lr'] = schedule
        optimizer.zero_grad()
        probe(images, samples, 'loss')['loss'].backward()
        optimizer.step()
        for layer, solver, rate in alone:
            solver.param_groups[0]['lr'] = schedule * rate
            solver.zero_grad()
            F.cross_entropy(layer(features), labels).backward()
            solver.step()
    for i, (layer, _, _) in enumerate(alone):
        torch.testing.assert_close(probe.weight[i], layer.weight)
        torch.testing.assert_close(probe.bias[i], layer.bias)
        assert not torch.allclose(layer.weight, start[i], atol=1e-6)
    assert probe.weight[3].abs().max() > 1e20


def test_only_the_classifiers_are_trained():
    probe = LinearProbe(BACKBONE, 4)
    trained = [n for n, p in probe.named_parameters() if p.requires_grad]
    assert trained == ['weight', 'bias']
    assert probe.weight.shape == (45, 4, 24)
    probe.train()
    assert probe.training and not probe.backbone.training
    std = LinearProbe(BACKBONE, 400).weight.std()
    assert std.item() == pytest.approx(0.01, rel=0.02)


def test_counts_and_metric_by_hand():
    probe = LinearProbe(BACKBONE, 6, [0.1, 0.2])
    logits = torch.zeros(2, 2, 6)
    logits[0, 0, 3] = 1  # rate 0: right
    logits[0, 1] = torch.tensor([6., 5, 4, 1, 3, 2])  # rate 1: class 3 last
    logits[1, 0] = torch.tensor([6., 5, 4, 1, 3, 2])  # class 2 is third
    logits[1, 1, 2] = 1
    counts = probe._counts(logits, torch.tensor([3, 2]))
    assert counts['top1'].tolist() == [1, 1]
    assert counts['top5'].tolist() == [2, 1]
    metric = LinearProbeMetric()
    metric.process(None, [counts])
    metric.process(None, [dict(top1=torch.tensor([0, 2]),
                               top5=torch.tensor([2, 2]), count=2,
                               rates=[0.1, 0.2])])
    result = metric.evaluate(size=4)
    assert result == {'linear/top1': 75., 'linear/top5': 75.,
                      'linear/lr': 0.2}


def test_the_log_names_the_best_of_the_batch():
    probe = LinearProbe(BACKBONE, 3, [0.5, 0.25, 2.])
    images, samples = batch(0, classes=3)
    logits = probe(images)
    labels = torch.cat([s.gt_label for s in samples])
    each = torch.stack([F.cross_entropy(logits[:, i], labels)
                        for i in range(3)])
    losses = probe(images, samples, 'loss')
    torch.testing.assert_close(
        losses['loss'], 0.5 * each[0] + 0.25 * each[1] + 2 * each[2])
    assert losses['cross_entropy'] == each.min()
    assert losses['lr_best'] == [0.5, 0.25, 2.][int(each.argmin())]


def test_features_of_the_last_blocks_by_the_reference():
    """Intermediate layers of the official code, each after the norm."""
    from ibot_mm.models import IBOTViT
    weights = golden.weights('vit_misc', 'w/')
    arch = golden.meta('vit_misc')['model']
    vit = IBOTViT(
        arch=dict(embed_dims=arch['embed_dim'], num_layers=arch['depth'],
                  num_heads=arch['num_heads'],
                  feedforward_channels=4 * arch['embed_dim']),
        img_size=arch['img_size'], patch_size=arch['patch_size'],
        with_mask_token=True)
    vit.load_state_dict(weights)
    vit.eval()
    x = golden.tensor('vit_misc', 'x64')
    layers = [golden.tensor('vit_misc', f'intermediate_n2_{i}')
              for i in (0, 1)]
    with torch.no_grad():
        assert_close = torch.testing.assert_close
        assert_close(pooled_tokens(vit, x, 2, 'cls'), torch.cat(
            [layer[:, 0] for layer in layers], 1), rtol=0, atol=5e-6)
        assert_close(pooled_tokens(vit, x, 1, 'avg'),
                     layers[1][:, 1:].mean(1), rtol=0, atol=5e-6)
        assert_close(pooled_tokens(vit, x, 1, 'cls_avg'), torch.cat(
            [layers[1][:, 0], layers[1][:, 1:].mean(1)], 1), rtol=0,
            atol=5e-6)


def test_features_of_swin_blocks():
    """Widths of the last blocks; the last stage alone is normed."""
    arch = dict(embed_dims=8, depths=[1, 2, 2], num_heads=[1, 2, 4])
    swin = IBOTSwin(arch, img_size=112, out_indices=(2, )).eval()
    probe = LinearProbe(dict(
        type='ibot_mm.IBOTSwin', arch=arch, img_size=112, out_indices=(2, )),
        5, n_last_blocks=4)
    assert probe.weight.shape == (45, 5, 16 + 16 + 32 + 32)
    x = torch.randn(2, 3, 112, 112)
    features = pooled_tokens(swin, x, 4, 'cls')
    assert features.shape == (2, 96)
    torch.testing.assert_close(features[:, -32:], swin.extract_cls(x),
                               rtol=1e-4, atol=1e-5)
    raw, grid = swin._embed(x, None)
    raw, grid = swin.stages[0](raw, grid)
    raw = swin.stages[1].blocks[0](raw, grid)
    torch.testing.assert_close(features[:, :16], raw.mean(1), rtol=1e-4,
                               atol=1e-5)


def test_unknown_pooling_raises():
    with pytest.raises(ValueError, match="pooling.*'x'"):
        LinearProbe(BACKBONE, 3, pooling='x')
