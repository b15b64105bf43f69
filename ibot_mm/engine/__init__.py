from .hooks import (
                    BackboneFileHook,
                    BadFileHook,
                    DataCheckHook,
                    DataWaitHook,
                    FreezeBackboneHook,
                    FreezeLastLayerHook,
                    InterruptionHook,
                    PictureHook,
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
from .loops import (
                    FeatureTestLoop,
                    KNNValLoop,
                    PretrainLoop,
                    TeacherValLoop,
)
from .optimizers import (
                    LayerDecayOptimWrapperConstructor,
                    PretrainOptimWrapper,
                    PretrainOptimWrapperConstructor,
)
from .schedulers import CosineWeightDecay, EpochCosineLR, WarmupCosineLR

__all__ = [
    'BackboneFileHook', 'BadFileHook', 'CosineWeightDecay',
    'DataCheckHook', 'DataWaitHook', 'EpochCosineLR', 'FeatureTestLoop',
    'FreezeBackboneHook', 'FreezeLastLayerHook', 'InterruptionHook',
    'KNNValLoop', 'LayerDecayOptimWrapperConstructor', 'PretrainLoop',
    'PretrainOptimWrapper', 'PretrainOptimWrapperConstructor',
    'PictureHook', 'PretrainRuntimeInfoHook', 'ProgressBarHook',
    'RunSummaryHook', 'SafeCheckpointHook', 'SkippedStepHook',
    'StrictLoadHook', 'TeacherEMAHook', 'TeacherTemperatureHook',
    'TeacherValLoop', 'TrainingHealthError', 'TrainingHealthHook', 'TrialHook',
    'WarmupCosineLR'
]
