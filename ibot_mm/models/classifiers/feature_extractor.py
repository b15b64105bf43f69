"""A frozen backbone as the evaluation protocols use it."""

from typing import Any

import torch
from mmengine.model import BaseModel
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from ibot_mm.checkpoints.official.state_dict import State
from ibot_mm.checkpoints.pretrained import (
    fit_to_model,
    require_neck,
    select_side,
)
from ibot_mm.registry import MODELS

POOLING = ('cls', 'avg', 'cls_avg')


def pooled_tokens(backbone: nn.Module, images: Tensor, n_last_blocks: int,
                  pooling: str) -> Tensor:
    """Features of images as the official evaluation takes them.

    Args:
        backbone: ``IBOTViT`` or ``IBOTSwin``.
        images: Normalized, (B, C_in, H, W).
        n_last_blocks: Blocks whose CLS tokens are concatenated.
        pooling: 'cls' for these CLS tokens, 'avg' for the mean patch token of
            the last block, 'cls_avg' for both, one after the other.

    Returns:
        (B, C).
    """
    if n_last_blocks == 1 and pooling == 'cls':
        return backbone.extract_cls(images)
    blocks = backbone.extract_last_blocks(images, n_last_blocks)
    parts = [] if pooling == 'avg' else [cls for cls, _ in blocks]
    if pooling != 'cls':
        parts.append(blocks[-1][1].mean(dim=1))
    return torch.cat(parts, dim=-1)


@MODELS.register_module()
class FeatureExtractor(BaseModel):
    """Features of a pre-trained backbone, or logits of its prototypes.

    A checkpoint that MMEngine loads in it (``load_from``, the argument of
    ``tools/test.py``) may be of any kind that
    :func:`ibot_mm.checkpoints.pretrained.select_side` knows.

    Args:
        backbone: Config of ``IBOTViT`` or ``IBOTSwin``.
        neck: Config of ``IBOTNeck``. With one, features are the logits (B, K)
            of the CLS token.
        n_last_blocks: See :func:`pooled_tokens`; not with a neck.
        pooling: The same.
        side: 'teacher' or 'student', for checkpoints that hold both.
        data_preprocessor: Config of the host's ``ClsDataPreprocessor``.
        init_cfg: As in the base class.

    Raises:
        ValueError: ``pooling`` is none of the three.
    """

    def __init__(self,
                 backbone: dict,
                 neck: dict | None = None,
                 n_last_blocks: int = 1,
                 pooling: str = 'cls',
                 side: str = 'teacher',
                 data_preprocessor: dict | nn.Module | None = None,
                 init_cfg: dict | None = None) -> None:
        if data_preprocessor is None:
            data_preprocessor = dict(type='mmpretrain.ClsDataPreprocessor')
        super().__init__(data_preprocessor, init_cfg)
        if pooling not in POOLING:
            raise ValueError(f'{type(self).__name__}: pooling must be one of '
                             f'{", ".join(POOLING)}, got {pooling!r}.')
        # Not in the weights: numbers of heads, how positions are resized.
        self._architecture = str([
            {k: v for k, v in (part or {}).items() if k != 'init_cfg'}
            for part in (backbone, neck)
        ])
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck) if neck else None
        self.n_last_blocks = n_last_blocks
        self.pooling = pooling
        self.side = side

    @property
    def feature_settings(self) -> str:
        """What features depend on beside weights and images, in words."""
        buffers = {
            name: buffer.flatten().tolist()
            for name, buffer in self.data_preprocessor.named_buffers()
        }
        order = getattr(self.data_preprocessor, 'to_rgb', '')
        return (f'{self.n_last_blocks} {self.pooling} {buffers} {order} '
                f'{self._architecture}')

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """Features (B, C) of normalized images (B, C_in, H, W)."""
        if self.neck is not None:
            cls = self.backbone.extract_cls(inputs)
            return self.neck.cls_logits(self.neck.project(cls))
        return pooled_tokens(self.backbone, inputs, self.n_last_blocks,
                             self.pooling)

    def adapt_checkpoint(self, checkpoint: dict[str, Any]) -> State:
        """What of a checkpoint this model holds, fitted to it.

        Args:
            checkpoint: What the file holds.

        Raises:
            CheckpointError: The wanted side, or a neck that is needed, is
                not there.
        """
        state = select_side(checkpoint, self.side)
        if self.neck is not None:
            require_neck(state)
        else:
            state = {
                name: value
                for name, value in state.items()
                if name.startswith('backbone.')
            }
        return fit_to_model(self, state)

    def forward(self,
                inputs: Tensor,
                data_samples: list[DataSample] | None = None,
                mode: str = 'tensor') -> Tensor:
        """Features of images; there is no loss.

        Args:
            inputs: Normalized images, (B, C_in, H, W).
            data_samples: Not used.
            mode: 'tensor'.
        """
        if mode != 'tensor':
            raise RuntimeError(f'FeatureExtractor has no mode {mode!r}: it is '
                               'for FeatureTestLoop.')
        return self.extract_feat(inputs)
