"""Non-finite check of losses beside the backward pass."""

import torch
import torch.distributed as dist
from torch import Tensor


class NonfiniteCheck:
    """Whether all losses of an optimizer step are finite, on all ranks.

    The ranks exchange the result, and it is copied from the device, beside
    the backward pass. It is read after the launch of that pass, so the CPU
    waits at most for the slowest rank's forward pass.
    """

    def __init__(self) -> None:
        self._flags: list[
            tuple[Tensor, dist.Work | torch.cuda.Event | None]] = []
        self._stream: torch.cuda.Stream | None = None

    def add(self, loss: Tensor) -> None:
        """Record a loss, a scalar; a collective call."""
        bad = (~loss.detach().isfinite()).float()
        work = None
        if dist.is_initialized():
            work = dist.all_reduce(bad, dist.ReduceOp.MAX, async_op=True)
        if bad.is_cuda:
            bad, work = self._copy(bad, work)
        self._flags.append((bad, work))

    def _copy(self, bad: Tensor, work: dist.Work | None
              ) -> tuple[Tensor, torch.cuda.Event]:
        """The result in pinned memory, and when it is there."""
        self._stream = self._stream or torch.cuda.Stream()
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            if work is not None:
                work.wait()  # this stream alone
            flag = bad.to('cpu', non_blocking=True)
            bad.record_stream(self._stream)
            event = torch.cuda.Event()
            event.record()
        return flag, event

    def all_finite(self) -> bool:
        """Result for the losses since the last call; equal on all ranks."""
        flags, self._flags = self._flags, []
        for _, work in flags:
            if isinstance(work, torch.cuda.Event):
                work.synchronize()
            elif work is not None:
                work.wait()
        return not any(bool(flag) for flag, _ in flags)
