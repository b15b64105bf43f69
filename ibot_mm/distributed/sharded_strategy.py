"""Fully sharded training: networks too large for one device's memory."""

import re
import time
import zipfile
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
from mmengine.runner.checkpoint import _load_checkpoint, save_checkpoint
from mmengine.utils import apply_to, get_git_hash
from torch import Tensor, nn

from ibot_mm.checkpoints.atomic_write import atomic_write
from ibot_mm.checkpoints.pretrained import fit_to_model
from ibot_mm.checkpoints.refuse_code import refuse_code
from ibot_mm.registry import STRATEGIES

from .dtensor import full_tensor, shard_like, to_local
from .gathered_copy import GatheredCopy
from .launch import start_gloo


def require_fully_shard() -> None:
    """Refuse a PyTorch that cannot shard.

    Raises:
        RuntimeError: It is older than 2.6.
    """
    try:
        from torch.distributed.fsdp import fully_shard  # noqa: F401
    except ImportError:
        raise RuntimeError(
            'fully sharded training (ShardedStrategy) needs PyTorch 2.6 or '
            f'later, and this is {torch.__version__}: use the config without '
            'runner_type and strategy.') from None


def shard_model(model: nn.Module, param_dtype: torch.dtype | None,
                reshard_after_forward: bool | int) -> None:
    """Leave each process its rows of the parameters of an ``IBOT``.

    Each transformer block of student and teacher is gathered when it is
    called, and what is outside of them for the whole step. Buffers stay
    whole. Only one block at a time is whole on the device while this is done.

    Args:
        model: The same on all processes.
        param_dtype: See :class:`ShardedStrategy`.
        reshard_after_forward: See :class:`ShardedStrategy`.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    mesh = init_device_mesh(get_device(),
                            (torch.distributed.get_world_size(), ))
    # Autocast decides about the inputs, as it does without sharding: casting
    # them would turn the sum that runs through the network into halves.
    precision = MixedPrecisionPolicy(
        param_dtype=param_dtype,
        reduce_dtype=torch.float32 if param_dtype else None,
        cast_forward_inputs=False)
    for block in model.backbone.blocks:
        fully_shard(
            block,
            mesh=mesh,
            mp_policy=precision,
            reshard_after_forward=reshard_after_forward)
    for block in model.teacher.backbone.blocks:
        # No backward pass would let go of what was kept.
        fully_shard(block, mesh=mesh, mp_policy=precision)
    fully_shard(model, mesh=mesh)
    # Blocks gather their weights in __call__, which extract_cls would bypass.
    for backbone in (model.backbone, model.teacher.backbone):
        backbone.cls_only_last_layer = False
    model.to(get_device())  # its preprocessor wants to be told


@STRATEGIES.register_module()
class ShardedStrategy(DDPStrategy):
    """PyTorch's ``fully_shard`` (FSDP2) for ``IBOT``, with ``ShardedRunner``.

    Parameters of student and teacher, gradients and optimizer states are
    spread over all processes; the step is that of distributed data
    parallelism. Checkpoints are those of an unsharded run, in both
    directions: rank 0 writes whole tensors, and each process reads its rows.

    Every process builds the whole model on its CPU first. The early
    differentiation of ``IBOT`` is off: keep activations small with the
    backbone's ``with_cp``.

    Args:
        param_dtype: 'bfloat16' gathers the blocks in this type, which takes
            half the traffic and needs ``optim_wrapper.dtype`` to be the same;
            None gathers what is stored, float32. Prototypes are float32 in
            any case, and so are the sums of gradients over processes.
        reshard_after_forward: Whether the student's blocks are let go after
            the forward pass and gathered again in the backward pass; or, as
            in PyTorch, the number of processes that keep a block together.
        **kwargs: As in MMEngine's ``DDPStrategy``.

    Raises:
        RuntimeError: PyTorch is too old, or there is one process only.
        ValueError: ``param_dtype`` is neither.
    """

    def __init__(self,
                 *,
                 param_dtype: str | None = None,
                 reshard_after_forward: bool | int = True,
                 **kwargs: Any) -> None:
        require_fully_shard()
        if param_dtype not in (None, 'bfloat16'):
            raise ValueError("strategy.param_dtype must be None or 'bfloat16'"
                             f', got {param_dtype!r}.')
        if param_dtype and not torch.cuda.is_available():
            raise ValueError(
                "strategy.param_dtype='bfloat16' needs GPUs: on CPUs autocast "
                'does not unite the types that meet in a layer norm.')
        if (kwargs.get('env_kwargs') or {}).get('launcher') == 'none':
            raise RuntimeError(
                'ShardedStrategy spreads a network over processes: start '
                'them with tools/dist_train.sh or tools/slurm_train.sh, or '
                'use the config without runner_type and strategy.')
        self.param_dtype = param_dtype and getattr(torch, param_dtype)
        self.reshard_after_forward = reshard_after_forward
        super().__init__(**kwargs)

    def _setup_distributed(self,
                           launcher: str = 'pytorch',
                           backend: str = 'nccl',
                           **kwargs: Any) -> None:
        """Let processes find each other, on CPUs too."""
        if torch.cuda.is_available():
            super()._setup_distributed(launcher, backend, **kwargs)
        else:
            start_gloo(launcher, kwargs.get('timeout'))

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        """Shard the model, which is the same on all processes by now."""
        if not hasattr(model, 'teacher'):
            raise TypeError('ShardedStrategy is for pre-training with IBOT, '
                            f'got {type(model).__name__}.')
        model = self.convert_model(model)
        self._whole_copy = GatheredCopy(model, 'teacher.')
        # It differentiates in the forward pass, which fully_shard has no
        # hooks for.
        model.accumulate_passes = False
        shard_model(model, self.param_dtype, self.reshard_after_forward)
        parameters = list(model.parameters())
        self.logger.info(
            f'{sum(p.numel() for p in parameters):,} parameters of student '
            f'and teacher over {self.world_size} processes: '
            f'{sum(p.numel() for p in to_local(parameters)):,} on this one.')
        return model

    def build_optim_wrapper(self, optim_wrapper, model=None):
        """Build the optimizer of this process's rows.

        Raises:
            ValueError: The precisions of gathering and of computing differ.
        """
        wrapper = super().build_optim_wrapper(optim_wrapper, model)
        dtype = getattr(wrapper, 'dtype', None)
        if self.param_dtype not in (None, dtype):
            raise ValueError(
                "strategy.param_dtype='bfloat16' needs "
                "optim_wrapper.dtype='bfloat16', got "
                f"'{str(dtype or torch.float32).split('.')[-1]}'.")
        # They would be the whole network.
        wrapper.keep_casts = False
        return wrapper

    @contextmanager
    def unsharded_model(self) -> Iterator[nn.Module]:
        """A copy of the model with the teacher's weights, whole.

        Every process has to enter; what is done inside need not meet.
        """
        with self._whole_copy.filled(self.model) as model:
            yield model

    def model_state_dict(self) -> dict[str, Tensor]:
        """Whole weights and buffers, on the CPU of rank 0."""
        state = self.model.state_dict()
        result = OrderedDict(
            (name, _to_rank_0(value)) for name, value in state.items())
        result._metadata = state._metadata
        return result

    def optim_state_dict(self) -> dict[str, Any]:
        """The optimizer's state in whole tensors, on the CPU of rank 0."""
        return apply_to(super().optim_state_dict(),
                        lambda x: isinstance(x, Tensor), _to_rank_0)

    def load_model_state_dict(self,
                              state_dict: dict[str, Tensor],
                              *,
                              strict: bool = False,
                              revise_keys: list = [(r'^module.', '')]
                              ) -> None:
        """Take this process's rows of whole weights."""
        for pattern, replacement in revise_keys:
            state_dict = {
                re.sub(pattern, replacement, k): v
                for k, v in state_dict.items()
            }
        # Before sharding, since it resizes whole tensors.
        state_dict = OrderedDict(fit_to_model(self.model, state_dict))
        for name, value in self.model.state_dict().items():
            given = state_dict.get(name)
            if given is not None and given.shape == value.shape:
                state_dict[name] = shard_like(given, value)
        super().load_model_state_dict(
            state_dict, strict=strict, revise_keys=[])

    def load_optim_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take this process's rows of the state of an unsharded optimizer."""
        numbers = [i for g in state_dict['param_groups'] for i in g['params']]
        parameters = [
            p for g in self.optim_wrapper.optimizer.param_groups
            for p in g['params']
        ]
        state = dict(state_dict['state'])
        for i, parameter in zip(numbers, parameters):
            # An entry of another shape counts steps.
            state[i] = {
                name: shard_like(value, parameter)
                if getattr(value, 'shape', None) == parameter.shape else value
                for name, value in state.get(i, {}).items()
            }
        state = {i: values for i, values in state.items() if values}
        super().load_optim_state_dict(dict(state_dict, state=state))

    def load_checkpoint(self,
                        filename: str,
                        *,
                        map_location: str | Callable = 'cpu',
                        strict: bool = False,
                        revise_keys: list = [(r'^module.', '')],
                        callback: Callable | None = None) -> dict:
        """Load a checkpoint of which each process reads what it needs.

        Args:
            filename: Path or URL.
            map_location: Not used: rows go to where they belong.
            strict: Whether missing and unexpected weights are errors.
            revise_keys: (pattern, replacement) for names of weights.
            callback: Called with the checkpoint before it is used.

        Returns:
            The checkpoint without its weights.

        Raises:
            CheckpointError: It is none, or reading it might run code.
        """
        self.logger.info(f'Load checkpoint from {filename}')
        # StrictLoadHook looks at it too late: this runner loads first.
        refuse_code(str(filename))
        if zipfile.is_zipfile(filename):
            checkpoint = torch.load(
                filename, 'cpu', weights_only=False, mmap=True)
        else:
            checkpoint = _load_checkpoint(filename, 'cpu')
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
        """Save what an unsharded run saves; every process has to take part.

        Tensors are gathered one after the other and kept by rank 0 alone.

        Args:
            filename: Path or URL.
            save_optimizer: Whether to save the optimizer's state.
            save_param_scheduler: Whether to save that of the schedules.
            extra_ckpt: What else to save; its ``meta`` is added to.
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
    """A whole tensor on the CPU of rank 0, an empty one elsewhere."""
    tensor = full_tensor(tensor)
    # A copy, since a gathered tensor may be a part of a padded one, all of
    # which would go to the file.
    return tensor.to(
        'cpu', copy=True) if is_main_process() else torch.empty(0)


def _write(checkpoint: dict, filename: str) -> None:
    """Write a file; a local one is there whole or not at all.

    Raises:
        OSError: It cannot be written.
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
            # PyTorch's writer trips over its own feet when a disk is full.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
