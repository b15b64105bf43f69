"""Descriptors for retrieval against formulas written out."""

import pytest
import torch
import torch.nn.functional as F

from ibot_mm.models import DescriptorExtractor
from ibot_mm.models.classifiers.descriptor_extractor import generalized_mean
from tests.helpers.builders import ARCH

VIT = dict(type='ibot_mm.IBOTViT', arch=ARCH, img_size=32, patch_size=8)


def extractor(**kwargs):
    model = DescriptorExtractor(dict(VIT), **kwargs).eval()
    model.init_weights()
    return model


def test_generalized_mean_by_hand():
    """(1 + 16) / 2 to the power of 1/4; negative values count as 1e-6."""
    tokens = torch.tensor([[[1., -5., -5.], [2., -7., 2.]]])
    expected = [8.5**0.25, 1e-6, 8**0.25]
    assert generalized_mean(tokens, 4)[0].tolist() == pytest.approx(expected)


@torch.no_grad()
def test_scales_are_the_mean_of_resized_images():
    model = extractor(scales=[1., 0.5])
    images = torch.randn(1, 3, 48, 64)
    small = F.interpolate(images, size=(24, 32), mode='bilinear')
    expected = (model.backbone.extract_cls(images) +
                model.backbone.extract_cls(small)) / 2
    torch.testing.assert_close(model.extract_feat(images), expected)


@torch.no_grad()
def test_gem_follows_the_cls_token():
    model = extractor(gem_power=4)
    images = torch.randn(2, 3, 32, 32)
    cls, patches = model.backbone.extract_tokens(images)
    found = model.extract_feat(images)
    torch.testing.assert_close(found[:, :24], cls)
    torch.testing.assert_close(found[:, 24:], generalized_mean(patches, 4))


@torch.no_grad()
def test_what_exceeds_the_patches_is_cut_off():
    model = extractor()
    images = torch.randn(1, 3, 71, 67)
    found = model.extract_feat(images)
    images[..., 64:, :] = 9
    images[..., 64:] = 9
    torch.testing.assert_close(model.extract_feat(images), found)


def test_cached_features_are_those_of_these_settings():
    settings = {extractor(**kwargs).feature_settings for kwargs in (
        {}, dict(scales=[1., 0.5]), dict(gem_power=4), dict(gem_power=3))}
    assert len(settings) == 4
