# Launch: bash tools/dist_train.sh \
#     configs/benchmarks/segmentation/vit-large-p16-ibot-pre_upernet_8xb2-amp-160k_ade20k-512x512.py \
#     8 --pretrained CHECKPOINT
#
# CHECKPOINT: of a pre-training, of the official code or from
# extract_backbone.py; the teacher is loaded.
# Schedule: 8 GPUs x batch 2 x accumulation 1 = 16 images per step; lr 2e-5
# for the head, times 0.95 for each layer of the backbone below;
# warm-up 1500 iterations from 1e-6 of it, linear to 0 after 160,000
# iterations.
# No result of this configuration is published.
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
