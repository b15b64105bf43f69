"""Propagation of masks through a video by the similarity of patches."""

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ibot_mm.registry import EVALUATORS


def resize_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a map of labels to the nearest pixel.

    PyTorch rounds differently where two pixels are equally near.

    Args:
        labels: uint8 (H, W).
        size: (H', W').
    """
    height, width = size
    return np.array(Image.fromarray(labels).resize(
        (width, height), Image.Resampling.NEAREST))


def labels_from_soft(soft: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Labels of pixels from soft masks of patches.

    Each mask is enlarged (bilinear) and scaled to the range from 0 to 1,
    unless it is constant; the largest counts.

    Args:
        soft: (K, h, w), background first.
        size: (H, W) of the frame that the network got.

    Returns:
        uint8 (H, W).
    """
    large = F.interpolate(soft[None], size=size, mode='bilinear',
                          align_corners=False)[0]
    low, high = large.amin((1, 2), True), large.amax((1, 2), True)
    return torch.where(high > low, (large - low) / (high - low),
                       large).argmax(0).byte().cpu().numpy()


@EVALUATORS.register_module()
class LabelPropagation:
    """Soft masks of a video from that of its first frame.

    The mask of a patch is the mean of those of the most similar patches in
    the first frame and in the last frames before it, weighted by
    exp(cosine / temperature).

    Args:
        radius: Largest distance of the patches in rows and in columns.
        num_frames: Number of last frames, whose soft masks are propagated.
        topk: Number of similar patches, of all frames together.
        temperature: Temperature of the weights.
    """

    def __init__(self,
                 radius: int = 12,
                 num_frames: int = 7,
                 topk: int = 5,
                 temperature: float = 0.1) -> None:
        self.radius = radius
        self.num_frames = num_frames
        self.topk = topk
        self.temperature = temperature

    def __call__(self, grids: Iterable[Tensor],
                 labels: np.ndarray) -> Iterator[Tensor]:
        """Propagate the labels of the first frame.

        Only the features of the last frames are kept.

        Args:
            grids: Features of the patches of each frame, (h, w, C).
            labels: Objects of the first frame, uint8 (H, W), from 1; 0 is
                background.

        Yields:
            Masks (K, h, w), from 0 to 1, of each frame but the first; K is
            the largest label that some patch has, plus 1.
        """
        grids = iter(grids)
        grid = next(grids)
        height, width = grid.shape[:2]
        small = torch.from_numpy(resize_labels(labels, (height, width)))
        first = F.normalize(grid.flatten(0, 1)), F.one_hot(
            small.flatten().long()).to(grid)
        near = self._near(height, width, grid.device)
        last: deque = deque(maxlen=self.num_frames)
        for grid in grids:
            target = F.normalize(grid.flatten(0, 1))
            soft = self._propagate(target, [first, *last], near)
            last.append((target, soft))
            yield soft.T.unflatten(1, (height, width))

    def _near(self, height: int, width: int,
              device: torch.device) -> Tensor:
        """Whether patches are within the radius, (h w, h w)."""
        rows, columns = (
            (torch.arange(side, device=device)[:, None]
             - torch.arange(side, device=device)).abs() <= self.radius
            for side in (height, width))
        return (rows[:, None, :, None] & columns[:, None]).reshape(
            height * width, -1)

    def _propagate(self, target: Tensor, context: list[tuple[Tensor, Tensor]],
                   near: Tensor) -> Tensor:
        """Soft masks (N, K) of the patches ``target`` (N, C)."""
        found = []
        for source, masks in context:
            similarity = (target @ source.T).masked_fill_(~near, -torch.inf)
            best, where = similarity.topk(min(self.topk, len(source)), dim=1)
            found.append((best, masks[where]))
        best, masks = (torch.cat(part, dim=1) for part in zip(*found))
        best, where = best.topk(min(self.topk, best.shape[1]), dim=1)
        weights = (best / self.temperature).softmax(dim=1)
        rows = torch.arange(len(where), device=where.device)[:, None]
        return (weights.unsqueeze(-1) * masks[rows, where]).sum(dim=1)
