"""Make the models known to MMPretrain by their names.

``mmpretrain.list_models('*ibot*')``, ``get_model`` and the inferencers read
MMPretrain's ``ModelHub``. It is filled from the metafiles when MMPretrain is
imported, which takes seconds that ``import ibot_mm`` alone need not wait for.
"""

import sys
from collections.abc import Sequence
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from .paths import config_path

MODULE = 'mmpretrain.apis.model'
METAFILES = ('ibot/metafile.yml', 'benchmarks/classification/metafile.yml')
# What stands for weights to download, of which there are none.
NO_WEIGHTS = 'ibot_mm://no-weights/'


def load_from_hub(filename: str, map_location: Any = None) -> NoReturn:
    """Loader of MMEngine for the weights of :data:`NO_WEIGHTS`.

    Raises:
        CheckpointError: Always.
    """
    from .checkpoints.load import CheckpointError
    raise CheckpointError(
        f'"{filename.removeprefix(NO_WEIGHTS)}" has no weights to download: '
        'give pretrained=PATH of a checkpoint, or pretrained=False for random '
        'weights.')


@cache
def register_models() -> None:
    """Register the models of the metafiles with MMPretrain's ``ModelHub``."""
    from mmengine.runner import CheckpointLoader
    hub = sys.modules[MODULE].ModelHub
    CheckpointLoader.register_scheme(NO_WEIGHTS, load_from_hub, force=True)
    known = set(hub._models_dict)
    for metafile in map(config_path, METAFILES):
        # Configs are given relative to the folder that holds `configs`.
        root = next(parent for parent in Path(metafile).parents
                    if parent.name == 'configs').parent
        hub.register_model_index(metafile, config_prefix=root)
    for name in set(hub._models_dict) - known:
        model = hub._models_dict[name]
        model.weights = model.weights or NO_WEIGHTS + name
        if '_finetune-' not in name:
            # MMPretrain chooses the inferencer by the task of the results,
            # and these are no classifiers.
            model.results = None


class _Watcher(MetaPathFinder):
    """Registers the models as soon as MMPretrain's module is imported."""

    def find_spec(self, name: str, path: Sequence[str] | None,
                  target: Any = None) -> ModuleSpec | None:
        if name != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_register(module) -> None:
            execute(module)
            register_models()

        spec.loader.exec_module = execute_and_register
        return spec


def register_on_import() -> None:
    """Register the models now or, without MMPretrain, when it is imported."""
    if MODULE in sys.modules:
        register_models()
    else:
        sys.meta_path.insert(0, _Watcher())
