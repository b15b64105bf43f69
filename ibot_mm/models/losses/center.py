"""Moving center of the teacher's logits."""

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn


class Center(nn.Module):
    """Moving average of the teacher's logits.

    c <- m c + (1 - m) mean(logits) (DINO, arXiv 2104.14294, equation 4), once
    per optimizer step, from the tokens of all ranks and micro-batches.

    Args:
        num_prototypes: K.
        momentum: m.

    Attributes:
        value: c, (K,).

    Raises:
        ValueError: A value is out of range.
    """

    def __init__(self, num_prototypes: int, momentum: float = 0.9) -> None:
        super().__init__()
        if num_prototypes < 1 or not 0 <= momentum <= 1:
            raise ValueError(
                'IBOTHead: the number of prototypes must be 1 or more and the '
                f'center momentum from 0 to 1, got {num_prototypes} and '
                f'{momentum}.')
        self.momentum = momentum
        self.register_buffer('value', torch.zeros(num_prototypes))
        # Sum of the logits and their number, (K + 1,), since the last update.
        # Not a buffer: it must be neither saved nor broadcast.
        self._sum: Tensor | None = None

    @torch.no_grad()
    def collect(self, mean: Tensor, count: int) -> None:
        """Add logits for the next :meth:`update`.

        Args:
            mean: Mean logits of some tokens, (K,), float32.
            count: Number of these tokens.
        """
        new = torch.cat([mean * count, mean.new_full((1, ), count)])
        self._sum = new if self._sum is None else self._sum.add_(new)

    @torch.no_grad()
    def update(self) -> None:
        """Move the center; without collected logits, do nothing."""
        if self._sum is None:
            return
        all_reduce(self._sum)
        self.value.lerp_(self._sum[:-1] / self._sum[-1], 1 - self.momentum)
        self._sum = None

    def discard(self) -> None:
        """Drop the collected logits, after a skipped step."""
        self._sum = None
