"""Parts of an image as features, and a classifier on pooled tokens."""

import pytest
import torch

from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.models import IBOTViT, LinearClassifier, LinearProbe
from ibot_mm.models.classifiers.feature_extractor import mean_of_parts
from tests.helpers.builders import ARCH

BACKBONE = dict(type='ibot_mm.IBOTViT', arch=ARCH, img_size=32, patch_size=8)


def test_the_mean_of_the_patches_with_the_highest_attention():
    patches = torch.tensor([[[1., 10], [2, 20], [4, 40]]]).repeat(2, 1, 1)
    # Means over two heads: 0.1, 0.5, 0.3, and 0.4, 0.1, 0.2.
    attention = torch.tensor([[[.0, .2, .6], [.2, .8, .0]],
                              [[.4, .1, .2], [.4, .1, .2]]])
    assert mean_of_parts(patches, attention, 1).tolist() == [[2, 20], [1, 10]]
    assert mean_of_parts(patches, attention, 2).tolist() == [
        [3, 30], [2.5, 25]]
    assert mean_of_parts(patches, attention, -1).tolist() == [
        [1, 10], [2, 20]]


def test_parts_are_taken_before_the_final_norm():
    torch.manual_seed(0)
    probe = LinearProbe(BACKBONE, 5, pooling='parts', num_parts=3)
    probe.backbone.init_weights()
    assert probe.weight.shape == (45, 5, 24)
    plain = IBOTViT(ARCH, img_size=32, patch_size=8, final_norm=False).eval()
    plain.load_state_dict(probe.backbone.state_dict())
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        _, patches = plain.extract_tokens(images)
        attention = plain.last_attention(images, 1)[:, :, 0, 1:].mean(1)
        for tokens, weights, feature in zip(
                patches, attention, probe.extract_feat(images)):
            best = weights.argsort(descending=True)[:3]
            torch.testing.assert_close(feature, tokens[best].mean(0))


@pytest.mark.parametrize('settings', [dict(pooling='parts'),
                                      dict(num_parts=3)])
def test_parts_need_their_number(settings):
    with pytest.raises(ValueError, match='num_parts'):
        LinearProbe(BACKBONE, 5, **settings)


@pytest.mark.parametrize('pooling, width', [
    (dict(n_last_blocks=2), 48), (dict(pooling='cls_avg'), 48),
    (dict(pooling='parts', num_parts=4), 24)])
def test_logits_are_those_of_the_head_in_the_probe(pooling, width):
    torch.manual_seed(0)
    probe = LinearProbe(BACKBONE, 5, [.1, .2], **pooling).eval()
    classifier = LinearClassifier(
        BACKBONE, head=dict(type='mmpretrain.LinearClsHead', num_classes=5,
                            in_channels=width), **pooling).eval()
    classifier.backbone.load_state_dict(probe.backbone.state_dict())
    with torch.no_grad():
        classifier.head.fc.weight.copy_(probe.weight[1])
        classifier.head.fc.bias.copy_(probe.bias[1])
        images = torch.randn(2, 3, 32, 32)
        torch.testing.assert_close(classifier(images), probe(images)[:, 1])


def test_a_checkpoint_of_the_probe_is_said_to_be_one():
    probe = LinearProbe(BACKBONE, 5, [.1, .2])
    classifier = LinearClassifier(BACKBONE, head=dict(
        type='mmpretrain.LinearClsHead', num_classes=5, in_channels=24))
    with pytest.raises(CheckpointError, match=r'merge_linear_head\.py'):
        classifier.adapt_checkpoint(dict(state_dict=probe.state_dict()))
    state = classifier.state_dict()
    assert classifier.adapt_checkpoint(dict(state_dict=state)) == state
