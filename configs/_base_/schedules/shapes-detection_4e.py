# COCO's schedule, shortened to 4 epochs, in float32 for a CPU.
_base_ = 'coco_1x_layer-decay.py'

optim_wrapper = dict(
    paramwise_cfg=dict(layer_decay_rate=0.8),
    optimizer=dict(lr=1e-3),
    dtype='float32')
auto_scale_lr = dict(base_batch_size=8)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=100),
    dict(
        type='MultiStepLR',
        begin=0,
        end=4,
        by_epoch=True,
        milestones=[3],
        gamma=0.1),
]
train_cfg = dict(max_epochs=4)
