"""Parameter groups of the pre-training."""

from copy import deepcopy
from typing import Optional

from mmengine.registry import OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn

from ibot_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class PretrainOptimWrapperConstructor:
    """Two groups: weight decay on everything but biases and 1-D tensors.

    The position embedding, the CLS token, the mask token and the gain of the
    prototypes are decayed, as in the official code. Two groups, rather than
    the host's one for each parameter, also let the optimizer use its
    multi-tensor kernels.

    Args:
        optim_wrapper_cfg: Config of the wrapper, with ``optimizer``.
        paramwise_cfg: Must be empty.

    Raises:
        ValueError: ``paramwise_cfg`` is given.
    """

    def __init__(self,
                 optim_wrapper_cfg: dict,
                 paramwise_cfg: Optional[dict] = None) -> None:
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
            model: Its parameters that require a gradient are optimised.

        Returns:
            The wrapper. Parameters of a group are in the order of
            ``model.named_parameters()``.
        """
        decayed, exempt = [], []
        frozen_early = []
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            is_exempt = name.endswith('.bias') or parameter.ndim == 1
            (exempt if is_exempt else decayed).append(parameter)
            if 'last_layer' in name:
                frozen_early.append(parameter)
        groups = [
            dict(params=decayed),
            dict(params=exempt, weight_decay=0.)
        ]
        optimizer = OPTIMIZERS.build(
            dict(deepcopy(self.optimizer_cfg), params=groups))
        wrapper = OPTIM_WRAPPERS.build(
            dict(self.wrapper_cfg, optimizer=optimizer))
        wrapper.last_layer = frozen_early
        return wrapper
