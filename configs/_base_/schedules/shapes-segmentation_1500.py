# ADE20K's schedule, shortened to 1,500 iterations, in float32 for a CPU.
_base_ = 'ade20k_160k.py'

optim_wrapper = dict(
    paramwise_cfg=dict(layer_decay_rate=0.8),
    optimizer=dict(lr=1e-3),
    dtype='float32')
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=100),
    dict(
        type='PolyLR',
        power=1.0,
        eta_min=0.0,
        begin=100,
        end=1500,
        by_epoch=False),
]
train_cfg = dict(max_iters=1500, val_interval=500)
default_hooks = dict(checkpoint=dict(interval=500))
