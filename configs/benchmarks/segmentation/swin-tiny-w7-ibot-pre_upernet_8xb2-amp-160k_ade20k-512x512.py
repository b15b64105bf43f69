# bash tools/dist_train.sh configs/benchmarks/segmentation/swin-tiny-w7-ibot-pre_upernet_8xb2-amp-160k_ade20k-512x512.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x 2 images = 16 per step; lr 6e-5; warm-up 1,500 iterations, linear to
# 0 after 160,000.
# Rate, drop path and weight decay are those of MMSegmentation's Swin-T;
# neither the paper nor the official code has this model.
# Published: nothing.
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
