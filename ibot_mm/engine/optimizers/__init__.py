from .layer_decay import LayerDecayOptimWrapperConstructor
from .pretrain_optim_wrapper import PretrainOptimWrapper
from .wrapper_constructor import PretrainOptimWrapperConstructor

__all__ = [
    'LayerDecayOptimWrapperConstructor', 'PretrainOptimWrapper',
    'PretrainOptimWrapperConstructor'
]
