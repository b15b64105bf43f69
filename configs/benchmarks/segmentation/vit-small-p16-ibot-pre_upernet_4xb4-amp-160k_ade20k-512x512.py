# Launch: bash tools/dist_train.sh \
#     configs/benchmarks/segmentation/vit-small-p16-ibot-pre_upernet_4xb4-amp-160k_ade20k-512x512.py \
#     4 --pretrained CHECKPOINT
#
# CHECKPOINT: of a pre-training, of the official code or from
# extract_backbone.py; the teacher is loaded.
# Schedule: 4 GPUs x batch 4 x accumulation 1 = 16 images per step; lr 3e-5
# for the head, times 0.9 for each layer of the backbone below;
# warm-up 1500 iterations from 1e-6 of it, linear to 0 after 160,000
# iterations.
# Aim (published, paper): mIoU 45.4 on the validation set of ADE20K.
# Not reproduced here.
_base_ = 'vit-base-p16-ibot-pre_upernet_8xb2-amp-160k_ade20k-512x512.py'

model = dict(
    backbone=dict(arch='small'),
    neck=dict(embed_dim=384),
    decode_head=dict(in_channels=[384, 384, 384, 384], channels=384),
    auxiliary_head=dict(in_channels=384))
train_dataloader = dict(batch_size=4)
optim_wrapper = dict(
    optimizer=dict(lr=3e-5), paramwise_cfg=dict(layer_decay_rate=0.9))
