"""Image descriptors for retrieval and copy detection."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ibot_mm.registry import MODELS

from .feature_extractor import FeatureExtractor


def generalized_mean(tokens: Tensor, power: float) -> Tensor:
    """Generalized mean of tokens (GeM, arXiv 1711.02512).

    Args:
        tokens: (B, N, C); values below 1e-6 count as 1e-6.
        power: Exponent p of (mean x^p)^(1/p).

    Returns:
        (B, C).
    """
    return tokens.clamp(min=1e-6).pow(power).mean(dim=1).pow(1 / power)


@MODELS.register_module()
class DescriptorExtractor(FeatureExtractor):
    """Features averaged over scales, with or without generalized mean.

    Images may have any size, one size per batch: what exceeds a multiple of
    the patch size at the right and the bottom is cut off, as in the official
    code.

    Args:
        *args: As of :class:`FeatureExtractor`.
        scales: Factors by which the image is resized (bilinear); the features
            of all scales are averaged.
        gem_power: Exponent of :func:`generalized_mean`, with which the
            feature is the CLS token concatenated with that of the patch
            tokens, (B, 2 C), both after the final norm. None for the features
            of :class:`FeatureExtractor`.
        **kwargs: As of :class:`FeatureExtractor`.
    """

    def __init__(self,
                 *args,
                 scales: Sequence[float] = (1., ),
                 gem_power: float | None = None,
                 **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.scales = tuple(scales)
        self.gem_power = gem_power

    @property
    def feature_settings(self) -> str:
        """Settings that determine the features, as text for a cache key."""
        return f'{super().feature_settings} {self.scales} {self.gem_power}'

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """Features (B, C) of normalized images (B, C_in, H, W)."""
        return sum(self._at_scale(inputs, s)
                   for s in self.scales) / len(self.scales)

    def _at_scale(self, images: Tensor, scale: float) -> Tensor:
        if scale != 1:
            images = F.interpolate(images, scale_factor=scale,
                                   mode='bilinear', align_corners=False)
        patch = self.backbone.patch_embed.projection.stride
        height, width = (side // p * p
                         for side, p in zip(images.shape[2:], patch))
        images = images[..., :height, :width]
        if self.gem_power is None:
            return super().extract_feat(images)
        cls, patches = self.backbone.extract_tokens(images)
        return torch.cat([cls, generalized_mean(patches, self.gem_power)], 1)
