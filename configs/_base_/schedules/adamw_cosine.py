# Optimizer, schedules and teacher of ViT-S/16 and Swin-T for a total batch of
# 1024. The paper (section 3.2) has the learning rate, 5e-4 x batch / 256, its
# warm-up, batch and epochs, and (appendix E) the patch temperature. Weight
# decay, clipping, final learning rate, teacher momentum, CLS temperature and
# frozen prototypes are in the release's code and commands only. The release
# trains in float16.
#
# All schedules end with the run (train_cfg.max_epochs), and
# `tools/train.py --auto-scale-lr` scales the learning rate to another batch.
#
# The runtime is inherited, because only one of several bases may define
# default_hooks.
_base_ = '../pretrain_runtime.py'

optim_wrapper = dict(
    type='ibot_mm.PretrainOptimWrapper',
    constructor='ibot_mm.PretrainOptimWrapperConstructor',
    optimizer=dict(
        type='AdamW',
        lr=5e-4 * 1024 / 256,
        betas=(0.9, 0.999),
        weight_decay=0.04),
    clip_grad=dict(type='per_parameter', max_norm=3.0),
    dtype='bfloat16',
    accumulative_counts=1)
auto_scale_lr = dict(base_batch_size=1024, enable=False)

lr_schedule = dict(
    type='ibot_mm.WarmupCosineLR',
    eta_min=1e-6,
    warmup=10,
    by_epoch=True,
    convert_to_iter_based=True)
weight_decay_schedule = dict(
    type='ibot_mm.CosineWeightDecay',
    eta_end=0.4,
    by_epoch=True,
    convert_to_iter_based=True)
param_scheduler = [lr_schedule, weight_decay_schedule]

default_hooks = dict(
    # To 1 at the end of the run.
    teacher_ema=dict(type='ibot_mm.TeacherEMAHook', momentum=0.996),
    teacher_temperature=dict(
        type='ibot_mm.TeacherTemperatureHook',
        warmup_teacher_temp=0.04,
        teacher_temp=0.07,
        warmup_teacher_patch_temp=0.04,
        teacher_patch_temp=0.07,
        warmup_epochs=30,
        patch_start_epoch=0),
    # The prototypes.
    freeze_last_layer=dict(type='ibot_mm.FreezeLastLayerHook', epochs=1))

train_cfg = dict(type='ibot_mm.PretrainLoop', max_epochs=800, val_interval=100)
