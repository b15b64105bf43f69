# Schedule and runtime: MMDetection's 12 epochs (rate x 0.1 after epochs 8 and
# 11) with AdamW, without gradient clipping. float16, because mmcv's RoIAlign
# has no bfloat16. Norms and relative positions of a Swin transformer are not
# decayed.
_base_ = [
    'mmdet::_base_/schedules/schedule_1x.py',
    'mmdet::_base_/default_runtime.py',
]
custom_imports = dict(imports=['ibot_mm'], allow_failed_imports=False)

optim_wrapper = dict(
    _delete_=True,
    type='ibot_mm.PretrainOptimWrapper',
    paramwise_cfg=dict(
        custom_keys={
            'norm': dict(decay_mult=0.),
            'relative_position_bias_table': dict(decay_mult=0.),
        }),
    optimizer=dict(
        type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    dtype='float16')

# Errors in data and checkpoints are reported before the first iteration;
# `data_check=dict(checks=())` switches the check of the data off.
default_hooks = dict(
    strict_load=dict(type='ibot_mm.StrictLoadHook'),
    data_check=dict(type='ibot_mm.DataCheckHook'),
    skipped_steps=dict(type='ibot_mm.SkippedStepHook'),
    run_summary=dict(type='ibot_mm.RunSummaryHook'),
    checkpoint=dict(
        type='ibot_mm.SafeCheckpointHook',
        max_keep_ckpts=2,
        save_best='auto'))
