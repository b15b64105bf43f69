# Hooks, logging and environment of all pre-trainings.
default_scope = 'mmpretrain'
custom_imports = dict(imports=['ibot_mm'], allow_failed_imports=False)

default_hooks = dict(
    runtime_info=dict(type='ibot_mm.PretrainRuntimeInfoHook', interval=50),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='ibot_mm.SafeCheckpointHook',
        interval=1,
        max_keep_ckpts=3,
        save_last=True),
    interruption=dict(type='ibot_mm.InterruptionHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    strict_load=dict(type='ibot_mm.StrictLoadHook'),
    bad_files=dict(type='ibot_mm.BadFileHook', max_share=0.1),
    skipped_steps=dict(type='ibot_mm.SkippedStepHook'),
    training_health=dict(type='ibot_mm.TrainingHealthHook', interval=50),
    # Teacher (paper, section 4): momentum 0.996 -> 1 over the run, both
    # temperatures 0.04 -> 0.07 over the first 30 epochs, and prototypes that
    # are frozen in the first epoch.
    teacher_ema=dict(type='ibot_mm.TeacherEMAHook', momentum=0.996),
    teacher_temperature=dict(
        type='ibot_mm.TeacherTemperatureHook',
        warmup_teacher_temp=0.04,
        teacher_temp=0.07,
        warmup_teacher_patch_temp=0.04,
        teacher_patch_temp=0.07,
        warmup_epochs=30,
        patch_start_epoch=0),
    freeze_last_layer=dict(type='ibot_mm.FreezeLastLayerHook', epochs=1),
)

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)

visualizer = dict(
    type='UniversalVisualizer',
    vis_backends=[
        dict(type='LocalVisBackend'),
        dict(type='TensorboardVisBackend'),
    ])

log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=0)
