# Launch: bash tools/dist_train.sh \
#     configs/benchmarks/segmentation/swin-tiny-w7-ibot-pre_upernet_8xb2-amp-160k_ade20k-512x512.py \
#     8 --pretrained CHECKPOINT
#
# CHECKPOINT: of a pre-training, of the official code or from
# extract_backbone.py; the teacher is loaded.
# Schedule: 8 GPUs x batch 2 x accumulation 1 = 16 images per step; lr 6e-5
# for everything;
# warm-up 1500 iterations from 1e-6 of it, linear to 0 after 160,000
# iterations.
# Rate, drop path and decay are those of MMSegmentation's Swin-T, which neither
# paper nor release changes.
# No result of this configuration is published.
_base_ = [
    '../../_base_/models/upernet_swin-tiny-w7.py',
    '../../_base_/datasets/ade20k_512.py',
    '../../_base_/schedules/ade20k_160k.py',
]

train_dataloader = dict(batch_size=2)
optim_wrapper = dict(
    _delete_=True,
    type='ibot_mm.PretrainOptimWrapper',
    paramwise_cfg=dict(
        custom_keys={
            'norm': dict(decay_mult=0.),
            'relative_position_bias_table': dict(decay_mult=0.),
        }),
    optimizer=dict(
        type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01),
    dtype='float16')
