"""Take the teacher where a host loads a pre-training checkpoint."""

from torch import nn
from torch.nn.modules.module import register_module_module_registration_hook

from ibot_mm.checkpoints.load_log import log_loaded
from ibot_mm.checkpoints.official.state_dict import (
    State,
    add_prefix,
    strip_prefix,
)
from ibot_mm.checkpoints.pretrained import network_taken, select_network

from .ibot_swin import IBOTSwin
from .ibot_vit import IBOTViT


def take_teacher(model: nn.Module, state: State, prefix: str,
                 *args) -> None:
    """Reduce a pre-training checkpoint to the network that a model needs.

    A pre-hook of ``load_state_dict``. Backbones are given the entries below
    their own name only, so it has to be on their parent. Other weights than
    those of a pre-training, by this package or the official code, are not
    changed. A pre-training itself loads all of its checkpoint; of a backbone
    alone it makes both of its networks.

    Args:
        model: A model with one of our backbones as its ``backbone``; its
            ``network`` may be 'student'.
        state: Changed in place.
        prefix: Of the model's entries.
        *args: Not used.
    """
    given = strip_prefix(state, prefix)
    if hasattr(model, 'teacher'):
        backbone = strip_prefix(given, 'backbone.')
        # Without other parts it is no pre-training's.
        if backbone and len(backbone) == len(given) and (
                'mask_token' not in backbone):
            state.update(add_prefix(backbone, f'{prefix}teacher.backbone.'))
        return
    if not ({'student', 'teacher'} <= set(given)
            or any(name.startswith('teacher.backbone.') for name in given)):
        return
    network = network_taken(given, getattr(model, 'network', 'teacher'))
    own = model.state_dict()
    taken = {name: value
             for name, value in select_network(given, network).items()
             if name in own or name.startswith('backbone.')}
    for name in given:
        del state[prefix + name]
    state.update(add_prefix(taken, prefix))
    log_loaded(model, taken, f'the {network} of a pre-training checkpoint')


def _watch_parent(parent: nn.Module, name: str, child: nn.Module) -> None:
    """Hook of PyTorch for every module that becomes part of another."""
    if name == 'backbone' and isinstance(child, (IBOTSwin, IBOTViT)):
        parent._register_load_state_dict_pre_hook(
            take_teacher, with_module=True)


# Parents are classes of the hosts: they cannot register it themselves.
register_module_module_registration_hook(_watch_parent)
