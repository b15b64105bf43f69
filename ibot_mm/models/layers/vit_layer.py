"""A layer of the vision transformer, with little memory traffic."""

import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.models.backbones.vision_transformer import (
    TransformerEncoderLayer,
)
from mmpretrain.models.utils import MultiheadAttention
from torch import Tensor, nn

from .drop_path import add_scaled, add_subset_residual


class SelfAttention(nn.Module):
    """MMPretrain's ``MultiheadAttention``, without copies of q, k and v.

    Its backward pass writes the gradient of ``qkv`` once, where indexing
    writes one full of zeros for each of q, k and v and adds them up.

    Args:
        attention: Its parameters are taken over under the same names.
    """

    def __init__(self, attention: MultiheadAttention) -> None:
        super().__init__()
        self.num_heads = attention.num_heads
        self.attn_drop = attention.attn_drop
        self.qkv = attention.qkv
        self.proj = attention.proj
        self.proj_drop = attention.proj_drop
        self.gamma1 = attention.gamma1

    def _split(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, (B, heads, N, D) each."""
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))
        return tuple(t.transpose(1, 2) for t in qkv.unbind(2))

    def weights(self, x: Tensor, num_queries: int | None = None) -> Tensor:
        """Weights with which tokens attend to tokens.

        Args:
            x: Tokens, (B, N, C).
            num_queries: Number Q of leading tokens whose weights are wanted;
                None for all.

        Returns:
            (B, heads, Q, N).
        """
        q, k, _ = self._split(x)
        q = q[:, :, :num_queries] * q.shape[-1]**-0.5
        return (q @ k.mT).softmax(-1)

    def forward(self, x: Tensor) -> Tensor:
        """Attend to all tokens, (B, N, C)."""
        q, k, v = self._split(x)
        x = F.scaled_dot_product_attention(
            q, k, v, dropout_p=self.attn_drop if self.training else 0.)
        x = self.proj(x.transpose(1, 2).flatten(2))
        return self.gamma1(self.proj_drop(x))


class ViTLayer(TransformerEncoderLayer):
    """MMPretrain's layer; the backbone draws its drop path.

    Args:
        layer: Built without drop path; its parameters are taken over under
            the same names.
        subset_rate: Fraction of the batch that each residual leaves out in
            training (:func:`add_subset_residual`).
    """

    def __init__(self, layer: TransformerEncoderLayer,
                 subset_rate: float = 0.) -> None:
        BaseModule.__init__(self, layer.init_cfg)
        self.embed_dims = layer.embed_dims
        self.ln1 = layer.ln1
        self.attn = SelfAttention(layer.attn)
        self.ln2 = layer.ln2
        self.ffn = layer.ffn
        self.ffn.add_identity = False
        self.ffn.dropout_layer = nn.Identity()
        self.subset_rate = subset_rate

    def _attention(self, x: Tensor) -> Tensor:
        return self.attn(self.ln1(x))

    def _mlp(self, x: Tensor) -> Tensor:
        return self.ffn(self.ln2(x))

    def forward(self, x: Tensor, scales: Tensor | None = None,
                cls_only: bool = False) -> Tensor:
        """Add both residuals.

        Args:
            x: Tokens, (B, N, C).
            scales: Factors of both residuals by image, (2, B, 1, 1), from
                :func:`drop_path_scales`; None for 1.
            cls_only: Whether to return the first token alone, (B, 1, C),
                whose values do not change.

        Returns:
            (B, N, C).
        """
        for i, branch in enumerate((self._attention, self._mlp)):
            if self.subset_rate and self.training:
                x = add_subset_residual(x, branch, self.subset_rate)
            elif scales is None:
                x = x + branch(x)
            else:
                x = add_scaled(x, branch(x), scales[i])
            if cls_only:
                x = x[:, :1]
        return x
