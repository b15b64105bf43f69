"""Non-finite check of losses that does not make the CPU wait for backward."""

import torch
from mmengine.dist import all_reduce
from torch import Tensor


class NonfiniteCheck:
    """Whether all losses of an optimizer step are finite, on all ranks.

    The result is copied from the device before the backward pass and read
    after its launch. So the CPU waits for the forward pass only, while the
    device is busy with the backward pass.
    """

    def __init__(self) -> None:
        self._flags: list[tuple[Tensor, torch.cuda.Event | None]] = []

    def add(self, loss: Tensor) -> None:
        """Record a loss, a scalar; a collective call."""
        bad = (~loss.detach().isfinite()).float()
        all_reduce(bad, op='max')
        # From a GPU into pinned memory: this call returns at once.
        flag, event = bad.to('cpu', non_blocking=bad.is_cuda), None
        if bad.is_cuda:
            event = torch.cuda.Event()
            event.record()
        self._flags.append((flag, event))

    def all_finite(self) -> bool:
        """Result for the losses since the last call; equal on all ranks."""
        flags, self._flags = self._flags, []
        for _, event in flags:
            if event is not None:
                event.synchronize()
        return not any(bool(flag) for flag, _ in flags)
