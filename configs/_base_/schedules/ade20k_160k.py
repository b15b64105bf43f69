# Schedule and runtime: AdamW with layer decay, 160k iterations, warm-up 1500
# from 1e-6 of the rate, then linear to 0. The official code intends to exempt
# position embedding and CLS token from weight decay, but decays them by
# mistake; so do we.
_base_ = [
    __import__('ibot_mm').config_path(f'mmseg::_base_/{name}.py')
    for name in ('schedules/schedule_160k', 'default_runtime')
]
custom_imports = dict(imports=['ibot_mm'], allow_failed_imports=False)

optim_wrapper = dict(
    _delete_=True,
    type='ibot_mm.PretrainOptimWrapper',
    constructor='ibot_mm.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.65, decay_embeddings=True),
    optimizer=dict(
        type='AdamW', lr=8e-5, betas=(0.9, 0.999), weight_decay=0.05),
    dtype='float16')
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(
        type='PolyLR',
        power=1.0,
        eta_min=0.0,
        begin=1500,
        end=160000,
        by_epoch=False),
]
auto_scale_lr = dict(base_batch_size=16, enable=False)

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
        save_best='mIoU'))
