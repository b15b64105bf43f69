from .backbone_file_hook import BackboneFileHook
from .bad_file_hook import BadFileHook
from .data_check_hook import DataCheckHook
from .data_wait_hook import DataWaitHook
from .freeze_backbone_hook import FreezeBackboneHook
from .freeze_last_layer_hook import FreezeLastLayerHook
from .interruption_hook import InterruptionHook
from .picture_hook import PictureHook
from .progress_bar_hook import ProgressBarHook
from .run_summary_hook import RunSummaryHook
from .runtime_info_hook import PretrainRuntimeInfoHook
from .safe_checkpoint_hook import SafeCheckpointHook
from .skipped_step_hook import SkippedStepHook
from .strict_load_hook import StrictLoadHook
from .teacher_ema_hook import TeacherEMAHook
from .teacher_temperature_hook import TeacherTemperatureHook
from .training_health_hook import TrainingHealthError, TrainingHealthHook
from .trial_hook import TrialHook

__all__ = [
    'BackboneFileHook', 'BadFileHook', 'DataCheckHook', 'DataWaitHook',
    'FreezeBackboneHook', 'FreezeLastLayerHook', 'InterruptionHook',
    'PictureHook', 'PretrainRuntimeInfoHook', 'ProgressBarHook',
    'RunSummaryHook', 'SafeCheckpointHook', 'SkippedStepHook',
    'StrictLoadHook', 'TeacherEMAHook', 'TeacherTemperatureHook',
    'TrainingHealthError', 'TrainingHealthHook', 'TrialHook'
]
