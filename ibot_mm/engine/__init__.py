from .hooks import (
                    BadFileHook,
                    DataCheckHook,
                    DataWaitHook,
                    FreezeLastLayerHook,
                    InterruptionHook,
                    PretrainRuntimeInfoHook,
                    ProgressBarHook,
                    RunSummaryHook,
                    SafeCheckpointHook,
                    SkippedStepHook,
                    StrictLoadHook,
                    TeacherEMAHook,
                    TeacherTemperatureHook,
                    TrainingHealthError,
                    TrainingHealthHook,
                    TrialHook,
)
from .loops import FeatureTestLoop, KNNValLoop, PretrainLoop
from .optimizers import (
                    LayerDecayOptimWrapperConstructor,
                    PretrainOptimWrapper,
                    PretrainOptimWrapperConstructor,
)
from .schedulers import CosineWeightDecay, EpochCosineLR, WarmupCosineLR

__all__ = [
    'BadFileHook', 'CosineWeightDecay', 'DataCheckHook', 'DataWaitHook',
    'EpochCosineLR', 'FeatureTestLoop', 'FreezeLastLayerHook',
    'InterruptionHook', 'KNNValLoop', 'LayerDecayOptimWrapperConstructor',
    'PretrainLoop', 'PretrainOptimWrapper', 'PretrainOptimWrapperConstructor',
    'PretrainRuntimeInfoHook', 'ProgressBarHook', 'RunSummaryHook',
    'SafeCheckpointHook',
    'SkippedStepHook', 'StrictLoadHook', 'TeacherEMAHook',
    'TeacherTemperatureHook', 'TrainingHealthError', 'TrainingHealthHook',
    'TrialHook', 'WarmupCosineLR'
]
