"""A vision transformer that can be traced for images of any size."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.onnx.operators import shape_as_tensor

from ibot_mm.models.layers.grid_resize import GridResize

from .ibot_vit import IBOTViT


class TraceableViT(nn.Module):
    """``IBOTViT`` for images whose size is not known when it is traced.

    Args:
        backbone: The network.
    """

    def __init__(self, backbone: IBOTViT) -> None:
        super().__init__()
        self.backbone = backbone
        _, self.offset, antialias = backbone.interpolation
        self.grid = backbone.patch_resolution
        self.resize = nn.ModuleList(
            GridResize(length, antialias) for length in self.grid)

    def positions(self, height: Tensor, width: Tensor) -> Tensor:
        """Position embeddings of the patches on a grid, (1, h w, D)."""
        source = self.backbone.pos_embed[:, 1:]
        same = (height == self.grid[0]) & (width == self.grid[1])
        offset = torch.where(same, 0., self.offset)
        rows, columns = (resize(target, offset) for resize, target in
                         zip(self.resize, (height, width)))
        grid = source.unflatten(1, self.grid)
        return torch.einsum('ah,bw,nhwd->nabd', rows, columns, grid
                            ).flatten(1, 2)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """CLS (B, D) and patch tokens (B, h, w, D) of (B, C, H, W)."""
        backbone = self.backbone
        projection = backbone.patch_embed.projection
        patch = projection.kernel_size
        images = F.pad(images, (0, -images.shape[3] % patch[1],
                                0, -images.shape[2] % patch[0]))
        x = projection(images)
        shape = shape_as_tensor(x)
        height, width = shape[2], shape[3]
        patches = x.flatten(2).transpose(1, 2) + self.positions(height, width)
        cls = backbone.cls_token + backbone.pos_embed[:, :1]
        tokens = [cls] if backbone.register_tokens is None else [
            cls, backbone.register_tokens]
        x = torch.cat([*(token.expand(x.shape[0], -1, -1) for token in tokens),
                       patches], 1)
        x = backbone.pre_norm(x)
        for block in backbone.blocks:
            x = block(x)
        if backbone.final_norm:
            x = backbone.ln1(x)
        patches = x[:, backbone.num_prefix_tokens:]
        return x[:, 0], patches.unflatten(1, (height, width))
