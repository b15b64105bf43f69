"""Tell whether a loss is finite without making the device wait."""


import torch
from mmengine.dist import all_reduce
from torch import Tensor


class LossGuard:
    """Losses of an optimizer step: were all of them finite, on all ranks?

    The answer leaves the device before the backward pass and is asked for
    after it was launched. So the CPU waits for the forward pass only, while
    the device still has the backward pass to work on.
    """

    def __init__(self) -> None:
        self._flags: list[tuple[Tensor, torch.cuda.Event | None]] = []

    def add(self, loss: Tensor) -> None:
        """Take note of a loss, a scalar. All ranks have to call this."""
        bad = (~loss.detach().isfinite()).float()
        all_reduce(bad, op='max')
        # From a GPU into pinned memory: this call returns at once.
        flag, event = bad.to('cpu', non_blocking=bad.is_cuda), None
        if bad.is_cuda:
            event = torch.cuda.Event()
            event.record()
        self._flags.append((flag, event))

    def all_finite(self) -> bool:
        """Judge the losses since the last call; the same on all ranks."""
        flags, self._flags = self._flags, []
        for _, event in flags:
            if event is not None:
                event.synchronize()
        return not any(bool(flag) for flag, _ in flags)
