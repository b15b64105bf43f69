"""Registries of the package, children of MMEngine's.

With ``scope='ibot_mm'`` and ``locations``, ``type='ibot_mm.X'`` resolves under
any default scope, and the module that defines X is imported on first use.
"""

from contextlib import redirect_stdout
from io import StringIO

from mmengine import registry as mmengine_registry
from mmengine.registry import Registry

# OneDL's fork prints when its datasets are imported without the OneDL client.
with redirect_stdout(StringIO()):
    import mmpretrain.datasets  # noqa: F401


def _child(name: str, parent: Registry, *locations: str) -> Registry:
    return Registry(
        name,
        parent=parent,
        scope='ibot_mm',
        locations=[f'ibot_mm.{location}' for location in locations])


MODELS = _child('model', mmengine_registry.MODELS, 'models')
DATASETS = _child('dataset', mmengine_registry.DATASETS, 'datasets')
DATA_SAMPLERS = _child('data sampler', mmengine_registry.DATA_SAMPLERS,
                       'datasets')
TRANSFORMS = _child('transform', mmengine_registry.TRANSFORMS, 'datasets')
FUNCTIONS = _child('function', mmengine_registry.FUNCTIONS, 'datasets')
HOOKS = _child('hook', mmengine_registry.HOOKS, 'engine')
EVALUATORS = _child('evaluator', mmengine_registry.EVALUATOR, 'evaluation')
METRICS = _child('metric', mmengine_registry.METRICS, 'evaluation')
RUNNERS = _child('runner', mmengine_registry.RUNNERS,
                 'distributed.sharded_runner')
STRATEGIES = _child('strategy', mmengine_registry.STRATEGIES,
                    'distributed.sharded_strategy')
LOOPS = _child('loop', mmengine_registry.LOOPS, 'engine')
OPTIM_WRAPPERS = _child('optim_wrapper', mmengine_registry.OPTIM_WRAPPERS,
                        'engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    'optimizer wrapper constructor',
    mmengine_registry.OPTIM_WRAPPER_CONSTRUCTORS, 'engine')
PARAM_SCHEDULERS = _child('parameter scheduler',
                          mmengine_registry.PARAM_SCHEDULERS, 'engine')
