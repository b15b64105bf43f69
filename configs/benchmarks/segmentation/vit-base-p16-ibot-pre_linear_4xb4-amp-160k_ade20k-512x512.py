# Launch: bash tools/dist_train.sh \
#     configs/benchmarks/segmentation/vit-base-p16-ibot-pre_linear_4xb4-amp-160k_ade20k-512x512.py \
#     4 --pretrained CHECKPOINT
#
# CHECKPOINT: of a pre-training, of the official code or from
# extract_backbone.py; the teacher is loaded.
# Schedule: 4 GPUs x batch 4 x accumulation 1 = 16 images per step; lr 8e-4
# for the linear head, the only thing trained;
# warm-up 1500 iterations from 1e-6 of it, linear to 0 after 160,000
# iterations.
# Aim (published, paper): mIoU 38.3 on the validation set of ADE20K.
# Not reproduced here.
_base_ = 'vit-small-p16-ibot-pre_linear_4xb4-amp-160k_ade20k-512x512.py'

model = dict(
    backbone=dict(arch='base'),
    decode_head=dict(in_channels=[768, 768, 768, 768], channels=3072))
optim_wrapper = dict(optimizer=dict(lr=8e-4))
