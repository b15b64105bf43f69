# bash tools/dist_train.sh configs/benchmarks/segmentation/vit-large-p16-ibot-pre_upernet_8xb2-amp-160k_ade20k-512x512.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x 2 images = 16 per step; lr 2e-5 for neck and heads, x 0.95 per layer
# of the backbone; warm-up 1,500 iterations, linear to 0 after 160,000.
# Published: nothing; the official code has this config file.
_base_ = 'vit-base-p16-ibot-pre_upernet_8xb2-amp-160k_ade20k-512x512.py'

model = dict(
    backbone=dict(
        arch='large',
        drop_path_rate=0.2,
        out_indices=(7, 11, 15, 23),
        out_with_norm=False),
    neck=dict(embed_dim=1024),
    decode_head=dict(in_channels=[1024, 1024, 1024, 1024], channels=1024),
    auxiliary_head=dict(in_channels=1024))
optim_wrapper = dict(
    optimizer=dict(lr=2e-5), paramwise_cfg=dict(layer_decay_rate=0.95))
