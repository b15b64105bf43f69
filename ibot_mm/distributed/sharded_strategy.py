"""Fully sharded training (FSDP2). Experimental."""

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mmengine
import torch
from mmengine._strategy import DDPStrategy
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.runner.checkpoint import save_checkpoint
from mmengine.utils import apply_to, get_git_hash
from torch import Tensor, nn
from torch.distributed import fsdp

from ibot_mm.checkpoints.atomic_write import atomic_write
from ibot_mm.checkpoints.for_mmengine import load_from_weights_only
from ibot_mm.checkpoints.strict import fit_to_model
from ibot_mm.registry import STRATEGIES

from .dtensor import full_tensor, shard_like, to_local
from .gathered_copy import GatheredCopy
from .launch import start_gloo


def shard_model(model: nn.Module, param_dtype: torch.dtype | None,
                reshard_after_forward: bool | int) -> None:
    """Shard the parameters of an ``IBOT`` in their first dimension, in place.

    Each transformer block of student and teacher is gathered when it is
    called; all other parameters are gathered for the entire step. Buffers are
    not sharded. Sharding itself moves one block at a time to the device.

    Args:
        model: On the CPU, the same on all processes.
        param_dtype: See :class:`ShardedStrategy`.
        reshard_after_forward: See :class:`ShardedStrategy`.
    """
    from torch.distributed.device_mesh import init_device_mesh

    mesh = init_device_mesh(get_device(),
                            (torch.distributed.get_world_size(), ))
    # Autocast casts inputs, as without sharding. FSDP would cast the residual
    # stream too.
    precision = fsdp.MixedPrecisionPolicy(
        param_dtype=param_dtype,
        reduce_dtype=torch.float32 if param_dtype else None,
        cast_forward_inputs=False)
    for block in model.backbone.blocks:
        fsdp.fully_shard(
            block,
            mesh=mesh,
            mp_policy=precision,
            reshard_after_forward=reshard_after_forward)
    for block in model.teacher.backbone.blocks:
        # There is no backward pass that would free gathered weights.
        fsdp.fully_shard(block, mesh=mesh, mp_policy=precision)
    fsdp.fully_shard(model, mesh=mesh)
    model.to(get_device())  # BaseDataPreprocessor tracks its device in .to()


@STRATEGIES.register_module()
class ShardedStrategy(DDPStrategy):
    """PyTorch's ``fully_shard`` (FSDP2) for ``IBOT``, with ``ShardedRunner``.

    Parameters of student and teacher, gradients and optimizer states are
    sharded over all processes; the step computes the same as distributed data
    parallelism. Checkpoints are interchangeable with those of unsharded runs:
    rank 0 gathers and writes full tensors, each process loads its rows.

    Every process builds the full model on its CPU first. The model needs
    ``accumulate_passes=False``; the backbone's ``with_cp`` reduces the memory
    of activations.

    Args:
        param_dtype: 'bfloat16' gathers blocks in bfloat16, which halves the
            traffic and needs the same ``optim_wrapper.dtype``; None gathers
            the stored float32. Prototypes are gathered and gradients reduced
            in float32 in any case.
        reshard_after_forward: Whether to free the student's blocks after
            the forward pass and gather them again in the backward pass; or,
            as in PyTorch, the number of processes among which to reshard.
        **kwargs: As in MMEngine's ``DDPStrategy``.

    Raises:
        RuntimeError: PyTorch is older than 2.6, or the launcher is 'none'.
        ValueError: ``param_dtype`` is invalid.
    """

    def __init__(self,
                 *,
                 param_dtype: str | None = None,
                 reshard_after_forward: bool | int = True,
                 **kwargs: Any) -> None:
        if not hasattr(fsdp, 'fully_shard'):
            raise RuntimeError(
                'ShardedStrategy needs PyTorch 2.6 or later, and this is '
                f'{torch.__version__}: use the config without runner_type '
                'and strategy.')
        if param_dtype not in (None, 'bfloat16'):
            raise ValueError("strategy.param_dtype must be None or 'bfloat16'"
                             f', got {param_dtype!r}.')
        if param_dtype and not torch.cuda.is_available():
            raise ValueError(
                "strategy.param_dtype='bfloat16' needs GPUs: autocast on CPUs "
                'does not support the mixed types of a layer norm.')
        if (kwargs.get('env_kwargs') or {}).get('launcher') == 'none':
            raise RuntimeError(
                'ShardedStrategy shards a network over processes: start them '
                'with tools/dist_train.sh or tools/slurm_train.sh, or use the '
                'config without runner_type and strategy.')
        self.param_dtype = param_dtype and getattr(torch, param_dtype)
        self.reshard_after_forward = reshard_after_forward
        super().__init__(**kwargs)

    def _setup_distributed(self,
                           launcher: str = 'pytorch',
                           backend: str = 'nccl',
                           **kwargs: Any) -> None:
        """Initialize the process group, on CPUs too."""
        if torch.cuda.is_available():
            super()._setup_distributed(launcher, backend, **kwargs)
        else:
            start_gloo(launcher, kwargs.get('timeout'))

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        """Shard the model, which is the same on all processes by now.

        Raises:
            TypeError: It is not an ``IBOT``.
            ValueError: It accumulates gradients over its passes.
        """
        if not hasattr(model, 'teacher'):
            raise TypeError('ShardedStrategy is for pre-training with IBOT, '
                            f'got {type(model).__name__}.')
        if model.accumulate_passes:
            # fully_shard has no hooks for gradients of the forward pass.
            raise ValueError('ShardedStrategy cannot shard a model that runs '
                             'backward passes during its forward pass: set '
                             'model.accumulate_passes=False.')
        model = self.convert_model(model)
        self._gathered_copy = GatheredCopy(model, 'teacher.')
        shard_model(model, self.param_dtype, self.reshard_after_forward)
        parameters = list(model.parameters())
        self.logger.info(
            f'{sum(p.numel() for p in parameters):,} parameters of student '
            f'and teacher over {self.world_size} processes: '
            f'{sum(p.numel() for p in to_local(parameters)):,} on this one.')
        return model

    def build_optim_wrapper(self, optim_wrapper, model=None):
        """Build the optimizer, whose states are sharded as the parameters.

        Raises:
            ValueError: ``param_dtype`` differs from the wrapper's dtype.
        """
        wrapper = super().build_optim_wrapper(optim_wrapper, model)
        dtype = getattr(wrapper, 'dtype', None)
        if self.param_dtype not in (None, dtype):
            raise ValueError(
                "strategy.param_dtype='bfloat16' needs "
                "optim_wrapper.dtype='bfloat16', got "
                f"'{str(dtype or torch.float32).split('.')[-1]}'.")
        # Autocast's copies of all weights would be a full network.
        wrapper.keep_casts = False
        return wrapper

    @contextmanager
    def unsharded_model(self) -> Iterator[nn.Module]:
        """An unsharded copy of the model, with the teacher's weights only.

        Entering is a collective call; calls of the copy are not.
        """
        with self._gathered_copy.filled(self.model) as model:
            yield model

    def model_state_dict(self) -> dict[str, Tensor]:
        """Full weights and buffers, on the CPU of rank 0."""
        state = self.model.state_dict()
        result = OrderedDict(
            (name, _to_rank_0(value)) for name, value in state.items())
        result._metadata = state._metadata
        return result

    def optim_state_dict(self) -> dict[str, Any]:
        """The optimizer's state in full tensors, on the CPU of rank 0."""
        return apply_to(super().optim_state_dict(),
                        lambda x: isinstance(x, Tensor), _to_rank_0)

    def load_model_state_dict(self,
                              state_dict: dict[str, Tensor],
                              *,
                              strict: bool = False,
                              revise_keys: list = [(r'^module.', '')]
                              ) -> None:
        """Load this process's rows of full weights."""
        for pattern, replacement in revise_keys:
            state_dict = {
                re.sub(pattern, replacement, k): v
                for k, v in state_dict.items()
            }
        # Before sharding, since it resizes full tensors.
        state_dict = fit_to_model(self._gathered_copy.model, state_dict,
                                  'the checkpoint')
        for name, value in self.model.state_dict().items():
            given = state_dict.get(name)
            if given is not None and given.shape == value.shape:
                state_dict[name] = shard_like(given, value)
        super().load_model_state_dict(
            state_dict, strict=strict, revise_keys=[])

    def load_optim_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load this process's rows of the state of an unsharded optimizer."""
        state = dict(state_dict['state'])
        groups = self.optim_wrapper.optimizer.param_groups
        parameters = (p for group in groups for p in group['params'])
        for i, parameter in enumerate(parameters):
            if i in state:  # a frozen parameter has none
                # Scalars count steps.
                state[i] = {
                    name: shard_like(value, parameter)
                    if getattr(value, 'shape', None) == parameter.shape else
                    value
                    for name, value in state[i].items()
                }
        super().load_optim_state_dict(dict(state_dict, state=state))

    def load_checkpoint(self,
                        filename: str,
                        *,
                        map_location: str | Callable = 'cpu',
                        strict: bool = False,
                        revise_keys: list = [(r'^module.', '')],
                        callback: Callable | None = None) -> dict:
        """Load a checkpoint; each process reads its rows of the file.

        Args:
            filename: Path or URL.
            map_location: Not used; rows go to the device of the parameters.
            strict: Whether missing and unexpected weights are errors.
            revise_keys: (pattern, replacement) for names of weights.
            callback: Called with the checkpoint before it is used.

        Returns:
            The checkpoint without its weights.

        Raises:
            CheckpointError: It cannot be read, or its pickle would run code.
        """
        self.logger.info(f'Load checkpoint from {filename}')
        checkpoint = load_from_weights_only(filename, mmap=True)
        if callback is not None:
            callback(checkpoint)
        self.load_model_state_dict(
            checkpoint.pop('state_dict'),
            strict=strict,
            revise_keys=revise_keys)
        return checkpoint

    def save_checkpoint(self,
                        filename: str,
                        *,
                        save_optimizer: bool = True,
                        save_param_scheduler: bool = True,
                        extra_ckpt: dict | None = None,
                        callback: Callable | None = None) -> None:
        """Save what an unsharded run saves; a collective call.

        Tensors are gathered one at a time and kept by rank 0 alone.

        Args:
            filename: Path or URL.
            save_optimizer: Whether to save the optimizer's state.
            save_param_scheduler: Whether to save that of the schedulers.
            extra_ckpt: Further entries; ``meta`` is extended.
            callback: Called on rank 0 with the checkpoint before it is
                written.
        """
        extra = extra_ckpt or {}
        meta = extra.get('meta', {})
        meta.update(
            seed=self.seed,
            time=time.strftime('%Y%m%d_%H%M%S'),
            mmengine_version=mmengine.__version__ + get_git_hash())
        checkpoint = dict(
            dict(meta=meta, state_dict=self.model_state_dict()), **extra)
        if save_optimizer and hasattr(self, 'optim_wrapper'):
            checkpoint['optimizer'] = self.optim_state_dict()
        if not is_main_process():
            return
        if save_param_scheduler and hasattr(self, 'param_schedulers'):
            checkpoint['param_schedulers'] = self.scheduler_state_dict()
        if callback is not None:
            callback(checkpoint)
        _write(checkpoint, filename)


def _to_rank_0(tensor: Tensor) -> Tensor:
    """The full tensor on the CPU of rank 0, an empty one elsewhere."""
    tensor = full_tensor(tensor)
    # A copy, since a gathered tensor may be a view of a padded one, which
    # would be saved with it.
    return tensor.to(
        'cpu', copy=True) if is_main_process() else torch.empty(0)


def _write(checkpoint: dict, filename: str) -> None:
    """Save a checkpoint, atomically if the file is local.

    Raises:
        OSError: The file cannot be written.
    """
    if type(get_file_backend(filename)) is not LocalBackend:
        save_checkpoint(checkpoint, filename)
        return
    path = Path(filename)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as part, part.open('wb') as file:
        try:
            torch.save(checkpoint, file)
        except RuntimeError as error:
            # On a full disk torch.save masks the OSError.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
