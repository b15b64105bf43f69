# bash tools/dist_train.sh configs/benchmarks/segmentation/vit-large-p16-ibot-pre_linear_8xb2-amp-160k_ade20k-512x512.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x 2 images = 16 per step; lr 2e-5 for the linear head, which alone is
# trained; warm-up 1,500 iterations, linear to 0 after 160,000.
# Published: nothing; the official code has this config file.
_base_ = 'vit-small-p16-ibot-pre_linear_8xb2-amp-160k_ade20k-512x512.py'

model = dict(
    backbone=dict(
        arch='large', out_indices=(7, 11, 15, 23), frozen_stages=24),
    decode_head=dict(in_channels=[1024, 1024, 1024, 1024], channels=4096))
optim_wrapper = dict(optimizer=dict(lr=2e-5))
