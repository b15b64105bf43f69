"""Check all parts of a config that name a ``type``."""

import inspect
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch.utils.data import DataLoader

from ibot_mm.checkpoints.pretrained import load_pretrained

from .config_registries import Unknown, find_anywhere, find_type, names_in
from .config_signatures import Settings, settings_of
from .config_values import shown, wrong_type
from .nearest_name import did_you_mean, slip_of

# Registries by the name of the setting that holds the part.
PLACES = {
    **dict.fromkeys(('backbone', 'neck', 'head', 'decode_head', 'rpn_head',
                     'roi_head', 'bbox_head', 'mask_head', 'data_preprocessor'
                     ), 'MODELS'),
    **dict.fromkeys(('loss', 'loss_decode', 'bbox_roi_extractor',
                     'mask_roi_extractor'), 'MODELS'),
    **dict.fromkeys(('anchor_generator', 'bbox_coder'), 'TASK_UTILS'),
    **dict.fromkeys(('pipeline', 'transforms'), 'TRANSFORMS'),
    **dict.fromkeys(('dataset', 'datasets'), 'DATASETS'),
    'metrics': 'METRICS',
    'optimizer': 'OPTIMIZERS',
    'init_cfg': 'WEIGHT_INITIALIZERS',
    'vis_backends': 'VISBACKENDS',
    'augments': 'BATCH_AUGMENTS',
}
LOADER_PARTS = dict(
    dataset='DATASETS', sampler='DATA_SAMPLERS', batch_sampler='DATA_SAMPLERS',
    collate_fn='FUNCTIONS', worker_init_fn='FUNCTIONS')
# Parts whose type is no registered name, or whose builders take settings of
# their own.
LEFT_OUT = ('norm_cfg', 'conv_cfg', 'act_cfg', 'upsample_cfg', 'padding_cfg',
            'dcn', 'metainfo', 'policies', 'clip_grad', 'nms')
# Keys that builders take out.
TAKEN = {
    'HOOKS': ('priority', ),
    'PARAM_SCHEDULERS': ('convert_to_iter_based', 'epoch_length'),
    # Backbones of this package give theirs to load_pretrained.
    'WEIGHT_INITIALIZERS': ('override', 'name',
                            *inspect.signature(load_pretrained).parameters),
    'OPTIM_WRAPPERS': ('constructor', 'paramwise_cfg'),
}
_ALWAYS = ('type', '_scope_', '_delete_')


class TypeChecker:
    """Collects what is wrong.

    Args:
        scope: The default scope.

    Attributes:
        problems: A sentence for each problem.
        needed: Whether what is checked now is built in any run. Types of
            what is not may come from modules that are not there.
    """

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self.needed = True
        self.problems: list[str] = []

    def add(self, path: str, text: str) -> None:
        """Note a problem with the setting of a dotted key."""
        sentence = f'{path}: {text}'
        if sentence not in self.problems:
            self.problems.append(sentence)

    def keys(self, cfg: dict, path: str, taker: str, settings: Settings,
             also: Iterable[str] = (), table: str = '',
             strict: bool = True) -> None:
        """Check keys, and types of values, against what is taken.

        Args:
            cfg: The part.
            path: Its dotted key.
            taker: Who takes the settings.
            settings: What is taken; None for anything.
            also: Further keys.
            table: As for :func:`wrong_type`.
            strict: Whether nobody else takes any of the keys; if somebody
                may, only slips are refused.
        """
        if settings is None:
            return
        names = [*settings, *also]
        for key, value in cfg.items():
            if key in settings:
                text = wrong_type(settings[key], key, value, taker, table)
                if text:
                    self.add(f'{path}.{key}', text)
            elif key not in (*_ALWAYS, *also) and (
                    strict or slip_of(str(key), names)):
                self.add(f'{path}.{key}', f'{taker} has no setting "{key}"'
                         + did_you_mean(str(key), [*names, 'type']))

    def built(self, cfg: Any, path: str, registry: str,
              default: Any = None, also: Sequence[str] = ()) -> None:
        """Check a part that a registry builds, and the parts in it.

        Args:
            cfg: The part: a dict, or several in lists; else nothing is done.
            path: Its dotted key.
            registry: Name of MMEngine's registry.
            default: Its type if it names none.
            also: Keys that are taken beside the settings of the type.
        """
        if isinstance(cfg, (list, tuple)):
            for i, item in enumerate(cfg):
                self.built(item, f'{path}.{i}', registry, default, also)
        if not isinstance(cfg, dict):
            return
        kind = cfg.get('type', default)
        if kind is None:
            self.parts(cfg, path, registry)
        elif not (isinstance(kind, str) or callable(kind)):
            self.add(f'{path}.type', f'{shown(kind)} is no name')
        else:
            with self._scope_of(cfg):
                target = self.type_name(kind, f'{path}.type', registry)
                if target is not None:
                    self._known(target, cfg, path, registry, also)

    def type_name(self, kind: Any, path: str, registry: str) -> Any:
        """Check that a registry has a name.

        Args:
            kind: The name, or what it stands for.
            path: Dotted key of the setting that holds it.
            registry: Name of MMEngine's registry.

        Returns:
            What it stands for; None if that is not known.
        """
        try:
            target = find_type(kind, registry, self.scope)
        except Unknown:
            return None
        if target is None:
            names = names_in(registry, self.scope, kind)
            elsewhere = [name for name in names if name.endswith(f'.{kind}')]
            guess = did_you_mean(kind, names) if not elsewhere else (
                f'; did you mean "{elsewhere[0]}"?')
            if guess or self.needed:
                self.add(path, f'there is no "{kind}" in the registry '
                         f'{registry} of {self.scope}' + (guess or (
                             '; is its package installed, and its module in '
                             'custom_imports?')))
        return target

    def dataloader(self, cfg: Any, path: str) -> None:
        """Check a data loader; one without a data set is not judged.

        Args:
            cfg: Its config.
            path: Its dotted key.
        """
        if not isinstance(cfg, dict) or 'dataset' not in cfg:
            return
        self.keys(cfg, path, 'DataLoader', settings_of(DataLoader, cfg),
                  ('num_batch_per_epoch', 'disable_subprocess_warning'))
        for key, registry in LOADER_PARTS.items():
            self.built(cfg.get(key), f'{path}.{key}', registry)

    def parts(self, cfg: dict[str, Any], path: str, registry: str) -> None:
        """Check what is in a part.

        Args:
            cfg: The part.
            path: Its dotted key.
            registry: Registry of the part. Names of others in it, whose place
                does not tell the registry, are likely to be its too.
        """
        for key, value in cfg.items():
            if not str(key).endswith(LEFT_OUT):
                self._part(value, f'{path}.{key}', key, registry)

    @contextmanager
    def _scope_of(self, cfg: dict) -> Iterator[None]:
        outer, self.scope = self.scope, cfg.get('_scope_') or self.scope
        yield
        self.scope = outer

    def _known(self, target: Any, cfg: dict, path: str, registry: str,
               also: Sequence[str] = (), strict: bool = True) -> None:
        """Check a part whose class or function has been found."""
        name = getattr(target, '__name__', str(target))
        self.keys(cfg, path, name, settings_of(target, cfg),
                  (*also, *TAKEN.get(registry, ())),
                  'Optimizer' if registry == 'OPTIMIZERS' else '', strict)
        # Albumentations has types of its own.
        if name not in ('Albu', 'Albumentations'):
            self.parts(cfg, path, registry)
        for key, part in getattr(target, 'PART_TYPES', {}).items():
            if isinstance(part, str):
                sibling = cfg.get(part)
                part = sibling.get('type') if isinstance(
                    sibling, dict) else None
            self.built(cfg.get(key), f'{path}.{key}', registry, part)

    def _part(self, value: Any, path: str, key: Any, registry: str) -> None:
        """Check a value of a part, of which its name may tell more."""
        if isinstance(value, (list, tuple)):
            for i, item in enumerate(value):
                self._part(item, f'{path}.{i}', key, registry)
        if not isinstance(value, dict):
            return
        if str(key).endswith('dataloader'):
            self.dataloader(value, path)
        elif key in PLACES:
            self.built(value, path, PLACES[key])
        elif 'type' not in value:
            self.parts(value, path, registry)
        else:
            with self._scope_of(value):
                self._anything(value, path, registry)

    def _anything(self, cfg: dict, path: str, registry: str) -> None:
        """Check a part whose place does not tell what it is.

        Only what is certain is said: its builder may take more, and its type
        may be no name of a registry.
        """
        kind = cfg['type']
        try:
            found = find_anywhere(kind, self.scope)
        except Unknown:
            return
        if len(found) == 1:
            self._known(found[0], cfg, path, registry, strict=False)
        elif not found and isinstance(kind, str):
            near = slip_of(kind, [
                name for place in (registry, 'TASK_UTILS')
                for name in names_in(place, self.scope, kind)])
            if near:
                self.add(f'{path}.type', f'there is no "{kind}" in the '
                         f'registries of {self.scope}; did you mean "{near}"?')
