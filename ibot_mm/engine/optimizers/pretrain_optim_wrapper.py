"""Optimizer wrapper of pre-training."""

from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from ibot_mm.distributed.dtensor import full_norms, to_local
from ibot_mm.registry import OPTIM_WRAPPERS

from .nonfinite_check import NonfiniteCheck

# torch.amp.GradScaler, which knows devices, came with torch 2.3.
_GradScaler = getattr(torch.amp, 'GradScaler', torch.cuda.amp.GradScaler)


def scale_each(tensors: list[Tensor], factors: Tensor) -> None:
    """Multiply each tensor by a factor of its own, in place.

    PyTorch takes one kernel per tensor for this. Here the many small ones
    (biases, norms) share a few.

    Args:
        tensors: On one device, of one dtype.
        factors: (len(tensors), ).
    """
    pairs = list(zip(tensors, factors.unbind()))
    large = [pair for pair in pairs if pair[0].numel() > 2**16]
    if large:
        torch._foreach_mul_(*map(list, zip(*large)))
    small = [pair for pair in pairs if pair[0].numel() <= 2**16]
    if small:
        scaled = torch.cat([t.flatten() for t, _ in small]) * torch.cat(
            [factor.expand(t.numel()) for t, factor in small])
        parts = scaled.split([t.numel() for t, _ in small])
        torch._foreach_copy_([t for t, _ in small], [
            part.view_as(t) for part, (t, _) in zip(parts, small)])


def clip_grads_per_parameter(grads: list[Tensor], max_norm: float) -> Tensor:
    """Scale each gradient to a norm of at most ``max_norm``, in place.

    Each is multiplied by min(1, max_norm / (norm + 1e-6)), as in the official
    code, without a device synchronization.

    Args:
        grads: Gradients on one device; of sharded ones the full norm counts.
        max_norm: Limit.

    Returns:
        Global norm before clipping, a scalar tensor.
    """
    norms = full_norms(grads)
    scale = (max_norm / (norms + 1e-6)).clamp(max=1)
    scale_each(to_local(grads), scale)
    return norms.norm()


@OPTIM_WRAPPERS.register_module()
class PretrainOptimWrapper(OptimWrapper):
    """MMEngine's wrapper with what iBOT's step needs.

    - clipping per parameter;
    - no gradient for the last layer while ``freeze_last_layer`` is set (with a
      zero gradient AdamW would still decay it and count a step), and none for
      the parameters in ``frozen``;
    - autocast on any device, with loss scaling for float16;
    - no step if a loss since the last step was non-finite on any rank, or the
      gradients are;
    - ``stepped``: whether the last ``update_params`` changed the weights;
      ``skipped``: whether a non-finite loss prevented it.

    Non-finite gradients of a finite loss are detected by clipping. The fused
    kernel then leaves weights and moments unchanged without a device
    synchronization; ``bad_gradients`` holds the number of such steps, in total
    and in a row. Other kernels need a synchronization. In float16 the loss
    scaler skips such steps; ``backed_off`` is their number in a row.

    Args:
        optimizer: The optimizer.
        accumulative_counts: Iterations per optimizer step.
        clip_grad: ``dict(type='per_parameter', max_norm=3.0)``, or as in
            MMEngine's ``OptimWrapper``.
        dtype: 'float32', 'bfloat16' or 'float16' for the forward pass.
        loss_scale: For float16: 'dynamic', an initial dynamic scale, or the
            arguments of the scaler.
        skip_nonfinite: Whether to skip the steps of non-finite losses. Use
            False for a sum of independent losses, such as those of many
            classifiers, where one must not stop the others.
        allow_tf32: Whether GPUs may round the operands of float32 matrix
            products, such as those with the prototypes, to 10 bits
            (TensorFloat-32); a setting of the process.

    Raises:
        ValueError: ``dtype`` is invalid.
    """

    def __init__(self,
                 optimizer: torch.optim.Optimizer,
                 accumulative_counts: int = 1,
                 clip_grad: dict | None = None,
                 dtype: str | None = None,
                 loss_scale: str | float | dict = 'dynamic',
                 skip_nonfinite: bool = True,
                 allow_tf32: bool = True) -> None:
        torch.backends.cuda.matmul.allow_tf32 = allow_tf32
        clip_grad = dict(clip_grad) if clip_grad else None
        self.max_norm_per_parameter: float | None = None
        if clip_grad and clip_grad.get('type') == 'per_parameter':
            self.max_norm_per_parameter = clip_grad['max_norm']
            clip_grad = None
        super().__init__(optimizer, accumulative_counts, clip_grad)
        # MMEngine would log its learning rate.
        self.base_param_settings = None
        if dtype not in (None, 'float32', 'bfloat16', 'float16'):
            raise ValueError(
                "optim_wrapper.dtype must be 'float32', 'bfloat16' or "
                f"'float16', got {dtype!r}.")
        # Whether autocast caches casts of weights during a forward pass.
        self.keep_casts = True
        self.dtype = None if dtype in (None, 'float32') else getattr(
            torch, dtype)
        self.loss_scaler = None
        if self.dtype == torch.float16:
            device = optimizer.param_groups[0]['params'][0].device.type
            args = dict(device=device) if hasattr(torch.amp,
                                                  'GradScaler') else {}
            if isinstance(loss_scale, dict):
                args.update(loss_scale)
            elif loss_scale != 'dynamic':
                args.update(init_scale=float(loss_scale))
            self.loss_scaler = _GradScaler(**args)
        self.last_layer: list[nn.Parameter] = []
        self.freeze_last_layer = False
        self.frozen: list[nn.Parameter] = []
        self.stepped = self.skipped = False
        self.grad_norm: Tensor | None = None
        self.bad_gradients: Tensor | None = None
        self.backed_off = 0
        self._scale: float | None = None  # of the loss, after the last step
        self._check = NonfiniteCheck() if skip_nonfinite else None

    @property
    def accumulative_counts(self) -> int:
        """Iterations per optimizer step."""
        return self._accumulative_counts

    @contextmanager
    def optim_context(self, model: nn.Module):
        """Gradient accumulation and autocast around the forward pass."""
        device = self.optimizer.param_groups[0]['params'][0].device.type
        with super().optim_context(model), torch.autocast(
                device,
                dtype=self.dtype,
                enabled=self.dtype is not None,
                cache_enabled=self.keep_casts):
            yield

    def update_params(self, loss: Tensor, step_kwargs=None,
                      zero_kwargs=None) -> None:
        """Backward pass and, if enough is accumulated, optimizer step."""
        self.stepped = self.skipped = False
        if self._check is not None:
            self._check.add(loss)
        super().update_params(loss, step_kwargs, zero_kwargs)

    def backward(self, loss: Tensor, **kwargs) -> None:
        """Backward pass of the (scaled) loss."""
        if self.loss_scaler is not None:
            loss = self.loss_scaler.scale(loss)
        super().backward(loss, **kwargs)

    def _clip_grad(self) -> None:
        if self.max_norm_per_parameter is None:
            super()._clip_grad()
            return
        grads = [
            parameter.grad for group in self.optimizer.param_groups
            for parameter in group['params'] if parameter.grad is not None
        ]
        self.grad_norm = clip_grads_per_parameter(grads,
                                                  self.max_norm_per_parameter)

    def step(self, **kwargs) -> None:
        """Clip, drop frozen gradients, step; skip after a non-finite loss."""
        if self._check is not None and not self._check.all_finite():
            self.skipped = True
            return
        if self.loss_scaler is not None:
            self.loss_scaler.unscale_(self.optimizer)
        if self.clip_grad_kwargs or self.max_norm_per_parameter:
            self._clip_grad()
        frozen = self.last_layer if self.freeze_last_layer else []
        for parameter in (*frozen, *self.frozen):
            parameter.grad = None
        if self.loss_scaler is None:
            self.stepped = self._step_if_finite(**kwargs)
        else:
            # Reading the scale waits for the device, so it is read once.
            before = (self.loss_scaler.get_scale()
                      if self._scale is None else self._scale)
            self.loss_scaler.step(self.optimizer, **kwargs)
            self.loss_scaler.update()
            self._scale = self.loss_scaler.get_scale()
            # The scaler backs off exactly when it skipped the step, until
            # its scale is 0.
            self.stepped = 0 < before <= self._scale
            self.backed_off = 0 if self.stepped else self.backed_off + 1

    def _step_if_finite(self, **kwargs) -> bool:
        """Step unless the norm of the gradients is non-finite.

        Returns:
            Whether it stepped; True for the fused kernel, which decides on the
            device.
        """
        if self.max_norm_per_parameter is None:
            self.optimizer.step(**kwargs)
            return True
        bad = (~self.grad_norm.isfinite()).float()
        if self.bad_gradients is None:
            self.bad_gradients = bad.new_zeros(2)
        total, in_a_row = self.bad_gradients
        self.bad_gradients = torch.stack([total + bad, (in_a_row + 1) * bad])
        if all(group.get('fused') for group in self.optimizer.param_groups):
            # As loss scalers do: the kernel reads this on the device.
            self.optimizer.found_inf = bad
        elif bad:
            return False
        self.optimizer.step(**kwargs)
        return True

    def state_dict(self) -> dict:
        """State of the optimizer and of the loss scaler."""
        state = super().state_dict()
        if self.loss_scaler is not None:
            state['loss_scaler'] = self.loss_scaler.state_dict()
        return state

    def load_state_dict(self, state_dict: dict) -> None:
        """Load a state from :meth:`state_dict`.

        Without a loss scaler in it (from a run in another precision) the
        scaler is unchanged. So is the choice of the optimizer's kernel, which
        depends on this machine and config.
        """
        state_dict = dict(state_dict)
        state_dict['param_groups'] = [
            dict(saved, **{
                key: group[key]
                for key in ('fused', 'foreach') if key in group
            }) for saved, group in zip(state_dict['param_groups'],
                                       self.optimizer.param_groups)
        ]
        scaler = state_dict.pop('loss_scaler', None)
        if scaler is not None and self.loss_scaler is not None:
            self.loss_scaler.load_state_dict(scaler)
            self._scale = None
        super().load_state_dict(state_dict)
