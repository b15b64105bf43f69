# Hooks, logging and environment of all evaluations.
default_scope = 'mmpretrain'
custom_imports = dict(imports=['ibot_mm'], allow_failed_imports=False)

default_hooks = dict(
    runtime_info=dict(type='RuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=100),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='ibot_mm.SafeCheckpointHook',
        interval=10,
        max_keep_ckpts=1,
        save_last=True,
        save_best='auto'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    strict_load=dict(type='ibot_mm.StrictLoadHook'),
    # `data_check=dict(checks=())` switches it off.
    data_check=dict(type='ibot_mm.DataCheckHook'),
    skipped_steps=dict(type='ibot_mm.SkippedStepHook'),
    run_summary=dict(type='ibot_mm.RunSummaryHook'),
)

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    # In seconds: ranks wait while one fits a logistic regression.
    dist_cfg=dict(backend='nccl', timeout=86400),
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
randomness = dict(seed=0, diff_rank_seed=True)
