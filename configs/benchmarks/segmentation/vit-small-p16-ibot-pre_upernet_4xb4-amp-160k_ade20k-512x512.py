# bash tools/dist_train.sh configs/benchmarks/segmentation/vit-small-p16-ibot-pre_upernet_4xb4-amp-160k_ade20k-512x512.py 4 --pretrained CHECKPOINT
#
# 4 GPUs x 4 images = 16 per step; lr 3e-5 for neck and heads, x 0.9 per layer
# of the backbone; warm-up 1,500 iterations, linear to 0 after 160,000.
# The layer decay is that of the official code; the paper (appendix C) says
# 0.65.
# Published (paper, table 13): mIoU 45.4, mAcc 56.2.
_base_ = 'vit-base-p16-ibot-pre_upernet_8xb2-amp-160k_ade20k-512x512.py'

model = dict(
    backbone=dict(arch='small'),
    neck=dict(embed_dim=384),
    decode_head=dict(in_channels=[384, 384, 384, 384], channels=384),
    auxiliary_head=dict(in_channels=384))
train_dataloader = dict(batch_size=4)
optim_wrapper = dict(
    optimizer=dict(lr=3e-5), paramwise_cfg=dict(layer_decay_rate=0.9))
