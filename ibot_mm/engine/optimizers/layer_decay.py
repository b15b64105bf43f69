"""Layer-wise learning rate decay."""

from collections.abc import Sequence
from copy import deepcopy

from torch import nn

from ibot_mm.distributed.unwrap import unwrapped
from ibot_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS

from .wrapper_constructor import build_wrapper


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor:
    """Groups for fine-tuning with layer decay (as BEiT; paper, appendix).

    Also for a pre-training that continues from an existing backbone, whose
    heads then are everything outside the backbone.

    With L transformer layers the patch embedding, the CLS and register tokens
    and the positions are layer 0, transformer layer i (from 0) is i + 1, and
    the final norm and everything outside the backbone are L + 1. The learning
    rate of layer l is lr x rate^(L + 1 - l). Biases, 1-D parameters (also
    those of LayerScale), the CLS and register tokens and the position
    embedding are not decayed.

    Unlike MMPretrain's constructor it also works for detectors and segmentors
    whose backbone has ``get_layer_depth``, and makes one group per layer and
    weight decay, not one per parameter.

    Args:
        optim_wrapper_cfg: Config of the wrapper, with ``optimizer``.
        paramwise_cfg: ``layer_decay_rate`` (1 for none);
            ``no_decay_names``: suffixes of further names that are not
            decayed; ``decay_embeddings`` (False): whether to decay these
            tokens and the position embedding, as the official detection and
            segmentation code does by mistake.

    Raises:
        ValueError: ``paramwise_cfg`` has other keys.
    """

    NO_DECAY = ('cls_token', 'pos_embed', 'register_tokens')

    def __init__(self,
                 optim_wrapper_cfg: dict,
                 paramwise_cfg: dict | None = None) -> None:
        settings = dict(paramwise_cfg or {})
        self.rate = settings.pop('layer_decay_rate', 1.)
        self.no_decay = tuple(settings.pop('no_decay_names', ()))
        if not settings.pop('decay_embeddings', False):
            self.no_decay += self.NO_DECAY
        if settings:
            raise ValueError(
                'LayerDecayOptimWrapperConstructor: paramwise_cfg takes '
                'layer_decay_rate, no_decay_names and decay_embeddings, got '
                f'{", ".join(settings)}.')
        self.wrapper_cfg = deepcopy(optim_wrapper_cfg)
        self.wrapper_cfg.setdefault('type', 'OptimWrapper')
        self.optimizer_cfg = self.wrapper_cfg.pop('optimizer')

    def _is_decayed(self, name: str, parameter: nn.Parameter) -> bool:
        return not (parameter.ndim == 1 or name.endswith('.bias')
                    or name.endswith(self.no_decay))

    def groups(self, model: nn.Module) -> Sequence[dict]:
        """Parameter groups with ``lr`` and ``weight_decay``, head first."""
        found: dict[tuple[int, bool], dict] = {}
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            layer, count = model.backbone.get_layer_depth(name, 'backbone.')
            decayed = self._is_decayed(name, parameter)
            scale = self.rate**(count - 1 - layer)
            group = found.setdefault(
                (layer, decayed),
                dict(
                    params=[],
                    lr=self.optimizer_cfg['lr'] * scale,
                    lr_scale=scale,
                    layer=layer))
            if not decayed:
                group['weight_decay'] = 0.
            group['params'].append(parameter)
        # The log shows the rate of the first group, the head's.
        return [found[key] for key in sorted(found, reverse=True)]

    def __call__(self, model: nn.Module):
        """Build the optimizer and its wrapper for a model."""
        model = unwrapped(model)
        wrapper = build_wrapper(self.wrapper_cfg, self.optimizer_cfg,
                                self.groups(model),
                                next(model.parameters()).device)
        if hasattr(model, 'last_layer_parameters'):
            wrapper.last_layer = model.last_layer_parameters()
        return wrapper
