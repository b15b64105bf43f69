"""Feature extraction for the evaluation protocols."""

from typing import Any

import torch
from mmengine.model import BaseModel
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from ibot_mm.checkpoints.official.state_dict import State
from ibot_mm.checkpoints.pretrained import require_neck, select_network
from ibot_mm.registry import MODELS

POOLING = ('cls', 'avg', 'cls_avg', 'parts')


def mean_of_parts(patches: Tensor, attention: Tensor,
                  num_parts: int) -> Tensor:
    """Mean of the patch tokens that the CLS token attends to most.

    Args:
        patches: (B, N, C).
        attention: Of the CLS token to the patches, (B, heads, N); its mean
            over the heads counts.
        num_parts: Number of patches, at most N; if negative, those with the
            lowest attention.

    Returns:
        (B, C).
    """
    top = attention.mean(1).topk(abs(num_parts), largest=num_parts > 0).indices
    return patches.gather(
        1, top.unsqueeze(-1).expand(-1, -1, patches.shape[2])).mean(1)


def pooled_tokens(backbone: nn.Module,
                  images: Tensor,
                  n_last_blocks: int,
                  pooling: str,
                  num_parts: int | None = None) -> Tensor:
    """Pooled features of images as in the official evaluation.

    Args:
        backbone: ``IBOTViT`` or ``IBOTSwin``.
        images: Normalized, (B, C_in, H, W).
        n_last_blocks: Number of blocks whose CLS tokens are concatenated.
        pooling: 'cls' for these CLS tokens, 'avg' for the mean patch token of
            the last block, 'cls_avg' for both concatenated, 'parts' for
            :func:`mean_of_parts` of the last block without the final norm
            (figure 5 of the paper; ViT only).
        num_parts: See :func:`mean_of_parts`; for 'parts' only.

    Returns:
        (B, C).
    """
    if pooling == 'parts':
        return mean_of_parts(*backbone.extract_attended(images), num_parts)
    if n_last_blocks == 1 and pooling == 'cls':
        return backbone.extract_cls(images)
    blocks = backbone.extract_last_blocks(images, n_last_blocks)
    parts = [] if pooling == 'avg' else [cls for cls, _ in blocks]
    if pooling != 'cls':
        parts.append(blocks[-1][1].mean(dim=1))
    return torch.cat(parts, dim=-1)


@MODELS.register_module()
class FeatureExtractor(BaseModel):
    """Features of a pre-trained backbone, or its prototype logits.

    MMEngine (``load_from``, the argument of ``tools/test.py``) can load every
    kind of checkpoint that
    :func:`ibot_mm.checkpoints.pretrained.select_network` supports.

    Args:
        backbone: Config of ``IBOTViT`` or ``IBOTSwin``.
        neck: Config of ``IBOTNeck``. With one, features are the logits (B, K)
            of the CLS token.
        n_last_blocks: See :func:`pooled_tokens`; not with a neck.
        pooling: See :func:`pooled_tokens`; not with a neck.
        num_parts: See :func:`mean_of_parts`; for ``pooling='parts'``.
        network: 'teacher' or 'student', for checkpoints that contain both.
        data_preprocessor: Config of the data preprocessor; MMPretrain's
            ``ClsDataPreprocessor`` by default.
        init_cfg: As in the base class.

    Raises:
        ValueError: ``pooling`` is unknown, or ``num_parts`` does not fit it.
    """

    def __init__(self,
                 backbone: dict,
                 neck: dict | None = None,
                 n_last_blocks: int = 1,
                 pooling: str = 'cls',
                 num_parts: int | None = None,
                 network: str = 'teacher',
                 data_preprocessor: dict | nn.Module | None = None,
                 init_cfg: dict | None = None) -> None:
        if data_preprocessor is None:
            data_preprocessor = dict(type='mmpretrain.ClsDataPreprocessor')
        super().__init__(data_preprocessor, init_cfg)
        if pooling not in POOLING:
            raise ValueError(f'{type(self).__name__}: pooling must be one of '
                             f'{", ".join(POOLING)}, got {pooling!r}.')
        if (pooling == 'parts') != bool(num_parts):
            raise ValueError(
                f'{type(self).__name__}: num_parts is the number of patches '
                f"for pooling='parts', got num_parts={num_parts} with "
                f'pooling={pooling!r}.')
        # Settings that the weights do not show, such as numbers of heads.
        self._architecture = str([
            {k: v for k, v in (part or {}).items() if k != 'init_cfg'}
            for part in (backbone, neck)
        ])
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck) if neck else None
        self.n_last_blocks = n_last_blocks
        self.pooling = pooling
        self.num_parts = num_parts
        self.network = network

    @property
    def feature_settings(self) -> str:
        """Settings that determine the features, as text for a cache key."""
        buffers = {
            name: buffer.flatten().tolist()
            for name, buffer in self.data_preprocessor.named_buffers()
        }
        order = getattr(self.data_preprocessor, 'to_rgb', '')
        parts = self.num_parts or ''
        return (f'{self.n_last_blocks} {self.pooling}{parts} {buffers} '
                f'{order} {self._architecture}')

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """Features (B, C) of normalized images (B, C_in, H, W)."""
        if self.neck is not None:
            cls = self.backbone.extract_cls(inputs)
            return self.neck(cls)[0]
        return pooled_tokens(self.backbone, inputs, self.n_last_blocks,
                             self.pooling, self.num_parts)

    def adapt_checkpoint(self, checkpoint: dict[str, Any]) -> State:
        """Convert a checkpoint to a state dict of this model.

        Args:
            checkpoint: Content of the file.

        Raises:
            CheckpointError: It lacks the requested ``network`` or the neck.
        """
        state = select_network(checkpoint, self.network)
        if self.neck is not None:
            require_neck(state)
        else:
            state = {
                name: value
                for name, value in state.items()
                if name.startswith('backbone.')
            }
        return state

    def forward(self,
                inputs: Tensor,
                data_samples: list[DataSample] | None = None,
                mode: str = 'tensor') -> Tensor:
        """Features of images; other modes than 'tensor' are not supported.

        Args:
            inputs: Normalized images, (B, C_in, H, W).
            data_samples: Not used.
            mode: 'tensor'.
        """
        if mode != 'tensor':
            raise RuntimeError(
                f"FeatureExtractor: mode must be 'tensor', got {mode!r}; use "
                'FeatureTestLoop.')
        return self.extract_feat(inputs)
