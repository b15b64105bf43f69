"""Parameter groups of pre-training."""

import inspect
from copy import deepcopy

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, OPTIMIZERS
from mmengine.utils import digit_version
from torch import nn

from ibot_mm.distributed.unwrap import unwrapped
from ibot_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS


def fused_by_default(optimizer_cfg: dict, device: torch.device) -> bool:
    """Whether to use the optimizer's fused kernel, not PyTorch's default.

    True if the config does not choose a kernel and PyTorch has a fused one:
    on CUDA, and from 2.4 on CPUs. False for SGD, whose fused kernel fails if
    some parameters get their first gradient later than others, as a frozen
    last layer does.
    """
    if {'fused', 'foreach'} & set(optimizer_cfg):
        return False
    optimizer = OPTIMIZERS.get(optimizer_cfg['type']) if isinstance(
        optimizer_cfg['type'], str) else optimizer_cfg['type']
    if optimizer in (None, torch.optim.SGD) or (
            'fused' not in inspect.signature(optimizer).parameters):
        return False
    return device.type == 'cuda' or (
        device.type == 'cpu'
        and digit_version(torch.__version__) >= digit_version('2.4'))


def build_wrapper(wrapper_cfg: dict, optimizer_cfg: dict, groups: list[dict],
                  device: torch.device) -> OptimWrapper:
    """Build an optimizer for groups of parameters, and its wrapper.

    Args:
        wrapper_cfg: Config of the wrapper.
        optimizer_cfg: Config of the optimizer.
        groups: Its parameter groups.
        device: Where the parameters are.
    """
    cfg = deepcopy(optimizer_cfg)
    if fused_by_default(cfg, device):
        cfg['fused'] = True
    optimizer = OPTIMIZERS.build(dict(cfg, params=groups))
    return OPTIM_WRAPPERS.build(dict(wrapper_cfg, optimizer=optimizer))


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class PretrainOptimWrapperConstructor:
    """Two groups: weight decay on everything but biases and 1-D tensors.

    The position embedding, the CLS token, the mask token and the gain of the
    prototypes are decayed, as in the official code, and so are register
    tokens, as in DINOv2. With two groups, instead
    of MMEngine's one per parameter, multi-tensor and fused kernels are fast.

    Args:
        optim_wrapper_cfg: Config of the wrapper, with ``optimizer``.
        paramwise_cfg: Must be empty.

    Raises:
        ValueError: ``paramwise_cfg`` is given.
    """

    def __init__(self,
                 optim_wrapper_cfg: dict,
                 paramwise_cfg: dict | None = None) -> None:
        if paramwise_cfg:
            raise ValueError(
                'PretrainOptimWrapperConstructor does not take '
                f'paramwise_cfg ({paramwise_cfg}): its groups are fixed.')
        self.wrapper_cfg = deepcopy(optim_wrapper_cfg)
        self.wrapper_cfg.setdefault('type', 'ibot_mm.PretrainOptimWrapper')
        self.optimizer_cfg = self.wrapper_cfg.pop('optimizer')

    def __call__(self, model: nn.Module):
        """Build the optimizer and its wrapper.

        Args:
            model: An ``IBOT``; its parameters that require gradients are
                optimized.

        Returns:
            The wrapper. Parameters of a group are in the order of
            ``model.named_parameters()``.
        """
        decayed, exempt = [], []
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            is_exempt = name.endswith('.bias') or parameter.ndim == 1
            (exempt if is_exempt else decayed).append(parameter)
        groups = [
            dict(params=decayed),
            dict(params=exempt, weight_decay=0.)
        ]
        wrapper = build_wrapper(self.wrapper_cfg, self.optimizer_cfg, groups,
                                next(model.parameters()).device)
        if hasattr(unwrapped(model), 'last_layer_parameters'):
            # Tools that draw schedules have another model.
            wrapper.last_layer = unwrapped(model).last_layer_parameters()
        return wrapper
