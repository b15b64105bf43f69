"""Linear classifiers on a frozen backbone, one per learning rate."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from ibot_mm.checkpoints.official.state_dict import State
from ibot_mm.checkpoints.pretrained import weights_of
from ibot_mm.models.layers.precision import at_least_float32
from ibot_mm.registry import MODELS

from .feature_extractor import FeatureExtractor

# {1..9} x 10^{-4..0}, for a batch of 256 (official code).
LEARNING_RATES = tuple(
    digit * 10.**power for power in range(-4, 1) for digit in range(1, 10))


@MODELS.register_module()
class LinearProbe(FeatureExtractor):
    """Linear classifiers for all learning rates, trained in one run.

    The classifiers share one weight tensor, so one matrix product computes
    all logits. The loss of classifier i is multiplied by its learning rate:
    SGD with momentum and without weight decay is linear in the gradient, so
    with a learning rate of s(t) in the optimizer, classifier i trains exactly
    as with lr_i s(t). The optimizer's learning rate is therefore total batch
    size / 256 with a cosine schedule to 0.

    Args:
        backbone: Config of ``IBOTViT`` or ``IBOTSwin``, whose ``init_cfg``
            names the checkpoint. It is frozen and stays in eval mode.
        num_classes: Number of classes.
        learning_rates: Peak learning rates for a batch of 256.
        **kwargs: As in :class:`FeatureExtractor`.
    """

    def __init__(self,
                 backbone: dict,
                 num_classes: int,
                 learning_rates: Sequence[float] = LEARNING_RATES,
                 **kwargs) -> None:
        super().__init__(backbone, **kwargs)
        self.backbone.requires_grad_(False)
        self.num_classes = num_classes
        self.learning_rates = list(learning_rates)
        widths = self.backbone.block_widths
        width = 0
        if self.pooling in ('cls', 'cls_avg'):
            width += sum(widths[-self.n_last_blocks:])
        if self.pooling != 'cls':
            width += widths[-1]
        shape = (len(self.learning_rates), num_classes)
        self.weight = nn.Parameter(torch.empty(*shape, width))
        self.bias = nn.Parameter(torch.zeros(*shape))
        nn.init.normal_(self.weight, std=0.01)

    def train(self, mode: bool = True) -> 'LinearProbe':
        """Set the mode of all parts except the backbone."""
        super().train(mode)
        self.backbone.eval()
        return self

    def adapt_checkpoint(self, checkpoint: dict[str, Any]) -> State:
        """State dict of a checkpoint of this model, backbone included."""
        return weights_of(checkpoint)

    def logits(self, inputs: Tensor) -> Tensor:
        """Logits (B, L, K) of L classifiers for images (B, C_in, H, W)."""
        with torch.no_grad():
            features = self.extract_feat(inputs)
        scores = F.linear(features, self.weight.flatten(0, 1),
                          self.bias.flatten())
        return at_least_float32(scores.unflatten(1, self.bias.shape))

    def forward(self,
                inputs: Tensor,
                data_samples: list[DataSample] | None = None,
                mode: str = 'tensor'):
        """Loss, correct predictions or logits of a batch.

        Args:
            inputs: Normalized images, (B, C_in, H, W).
            data_samples: Their labels; not used for ``mode='tensor'``.
            mode: 'loss', 'predict' or 'tensor'.

        Returns:
            For 'loss' a dict of ``loss`` (see the class) and the
            ``cross_entropy`` and learning rate ``lr_best`` of the best
            classifier on the batch; for 'predict' a list with one dict for
            ``LinearProbeMetric``; for 'tensor' logits (B, L, K).
        """
        logits = self.logits(inputs)
        if mode == 'tensor':
            return logits
        labels = torch.cat([sample.gt_label for sample in data_samples])
        if mode == 'loss':
            return self._loss(logits, labels)
        return [self._counts(logits, labels)]

    def _loss(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        rates = logits.new_tensor(self.learning_rates)
        losses = F.cross_entropy(
            logits.flatten(0, 1),
            labels.repeat_interleave(len(rates)),
            reduction='none').view(len(labels), -1).mean(0)
        best, index = losses.detach().nan_to_num(torch.inf).min(0)
        return dict(
            loss=(losses * rates).sum(),
            cross_entropy=best,
            lr_best=rates[index])

    def _counts(self, logits: Tensor, labels: Tensor) -> dict[str, Any]:
        ranking = logits.topk(min(5, self.num_classes), dim=-1).indices
        hits = ranking == labels.view(-1, 1, 1)
        return dict(
            top1=hits[..., 0].sum(0).cpu(),
            top5=hits.any(-1).sum(0).cpu(),
            count=len(labels),
            rates=self.learning_rates)
