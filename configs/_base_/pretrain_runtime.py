# Hooks, logging and environment of all pre-trainings.
default_scope = 'mmpretrain'
custom_imports = dict(imports=['ibot_mm'], allow_failed_imports=False)

default_hooks = dict(
    runtime_info=dict(type='ibot_mm.PretrainRuntimeInfoHook', interval=50),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # Guards of long runs: checkpoints that are complete or absent, a save on
    # signals, no partly loaded weights, and limits on unreadable images,
    # non-finite losses and collapse. docs/failures.md
    checkpoint=dict(
        type='ibot_mm.SafeCheckpointHook',
        interval=1,
        max_keep_ckpts=3,
        save_last=True),
    # The teacher's backbone beside the last and the best checkpoints;
    # enabled=False writes none.
    backbone_file=dict(type='ibot_mm.BackboneFileHook'),
    interruption=dict(type='ibot_mm.InterruptionHook'),
    strict_load=dict(type='ibot_mm.StrictLoadHook'),
    bad_files=dict(type='ibot_mm.BadFileHook', max_share=0.1),
    skipped_steps=dict(type='ibot_mm.SkippedStepHook'),
    training_health=dict(type='ibot_mm.TrainingHealthHook', interval=50),
    run_summary=dict(type='ibot_mm.RunSummaryHook'),
    data_wait=dict(type='ibot_mm.DataWaitHook', interval=50),
    # What the teacher has learned, at each validation: pictures/strip.png in
    # the work dir, and TensorBoard. count=0 draws none.
    pictures=dict(type='ibot_mm.PictureHook', count=4),
    progress_bar=dict(type='ibot_mm.ProgressBarHook'),
)

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)

# Several processes: gradients are not copied in order to be sent, which saves
# 4 bytes per parameter. Buffers are equal on all ranks anyway.
model_wrapper_cfg = dict(
    type='MMDistributedDataParallel',
    broadcast_buffers=False,
    gradient_as_bucket_view=True)

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
