# bash tools/dist_train.sh configs/benchmarks/segmentation/vit-large-p16-ibot-pre_upernet_8xb1-acc2-amp-320k_ade20k-640x640.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x 1 image x 2 accumulated = 16 per step; lr 2e-5 for neck and heads, x
# 0.95 per layer of the backbone; warm-up 3,000 iterations, linear to 0 after
# 320,000 (160,000 steps).
# Published: nothing; the official code has this config file.
_base_ = 'vit-base-p16-ibot-pre_upernet_8xb2-amp-160k_ade20k-640x640.py'

model = dict(
    backbone=dict(
        arch='large', drop_path_rate=0.2, out_indices=(7, 11, 15, 23)),
    neck=dict(embed_dim=1024),
    decode_head=dict(in_channels=[1024, 1024, 1024, 1024], channels=1024),
    auxiliary_head=dict(in_channels=1024))
train_dataloader = dict(batch_size=1)
optim_wrapper = dict(
    optimizer=dict(lr=2e-5),
    paramwise_cfg=dict(layer_decay_rate=0.95),
    accumulative_counts=2)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=3000),
    dict(
        type='PolyLR',
        power=1.0,
        eta_min=0.0,
        begin=3000,
        end=320000,
        by_epoch=False),
]
train_cfg = dict(max_iters=320000)
