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
                    PerturbationTestLoop,
                    PretrainLoop,
                    TeacherValLoop,
                    VideoSegmentationTestLoop,
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
    'KNNValLoop', 'LayerDecayOptimWrapperConstructor',
    'PerturbationTestLoop', 'PictureHook', 'PretrainLoop',
    'PretrainOptimWrapper', 'PretrainOptimWrapperConstructor',
    'PretrainRuntimeInfoHook', 'ProgressBarHook', 'RunSummaryHook',
    'SafeCheckpointHook', 'SkippedStepHook', 'StrictLoadHook',
    'TeacherEMAHook', 'TeacherTemperatureHook', 'TeacherValLoop',
    'TrainingHealthError', 'TrainingHealthHook', 'TrialHook',
    'VideoSegmentationTestLoop', 'WarmupCosineLR'
]
