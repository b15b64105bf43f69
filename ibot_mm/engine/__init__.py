from .hooks import (BadFileHook, FreezeLastLayerHook, PretrainRuntimeInfoHook,
                    TeacherEMAHook, TeacherTemperatureHook,
                    TrainingHealthError, TrainingHealthHook)
from .loops import KNNValLoop
from .optimizers import PretrainOptimWrapper, PretrainOptimWrapperConstructor
from .schedulers import CosineWeightDecay, WarmupCosineLR

__all__ = [
    'BadFileHook', 'CosineWeightDecay', 'FreezeLastLayerHook', 'KNNValLoop',
    'PretrainOptimWrapper', 'PretrainOptimWrapperConstructor',
    'PretrainRuntimeInfoHook', 'TeacherEMAHook', 'TeacherTemperatureHook',
    'TrainingHealthError', 'TrainingHealthHook', 'WarmupCosineLR'
]
