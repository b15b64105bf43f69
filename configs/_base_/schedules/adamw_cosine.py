# Optimization of the paper (section 4 and appendix D) for a total batch of
# 1024: lr = 5e-4 x 1024 / 256 = 2e-3. `tools/train.py --auto-scale-lr` scales
# it to the actual batch. Schedules end with the run (train_cfg.max_epochs).
optim_wrapper = dict(
    type='ibot_mm.PretrainOptimWrapper',
    constructor='ibot_mm.PretrainOptimWrapperConstructor',
    optimizer=dict(
        type='AdamW', lr=2e-3, betas=(0.9, 0.999), weight_decay=0.04),
    clip_grad=dict(type='per_parameter', max_norm=3.0),
    dtype='bfloat16',
    accumulative_counts=1)
auto_scale_lr = dict(base_batch_size=1024, enable=False)

param_scheduler = [
    dict(
        type='ibot_mm.WarmupCosineLR',
        eta_min=1e-6,
        warmup=10,
        by_epoch=True,
        convert_to_iter_based=True),
    dict(
        type='ibot_mm.CosineWeightDecay',
        eta_end=0.4,
        by_epoch=True,
        convert_to_iter_based=True),
]

train_cfg = dict(type='ibot_mm.PretrainLoop', max_epochs=800, val_interval=100)
