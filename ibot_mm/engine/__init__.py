from .hooks import (BadFileHook, DataCheckHook, FreezeLastLayerHook,
                    InterruptionHook, PretrainRuntimeInfoHook,
                    SafeCheckpointHook, SkippedStepHook, StrictLoadHook,
                    TeacherEMAHook, TeacherTemperatureHook,
                    TrainingHealthHook)
from .loops import FeatureTestLoop, KNNValLoop
from .optimizers import (LayerDecayOptimWrapperConstructor,
                         PretrainOptimWrapper,
                         PretrainOptimWrapperConstructor)
from .runners import ShardedRunner
from .schedulers import CosineWeightDecay, EpochCosineLR, WarmupCosineLR
from .strategies import ShardedStrategy
from .training_failure import TrainingHealthError

__all__ = [
    'BadFileHook', 'CosineWeightDecay', 'DataCheckHook', 'EpochCosineLR',
    'FeatureTestLoop', 'FreezeLastLayerHook', 'InterruptionHook',
    'KNNValLoop', 'LayerDecayOptimWrapperConstructor',
    'PretrainOptimWrapper', 'PretrainOptimWrapperConstructor',
    'PretrainRuntimeInfoHook', 'SafeCheckpointHook', 'ShardedRunner',
    'ShardedStrategy', 'SkippedStepHook', 'StrictLoadHook', 'TeacherEMAHook',
    'TeacherTemperatureHook', 'TrainingHealthError', 'TrainingHealthHook',
    'WarmupCosineLR'
]
