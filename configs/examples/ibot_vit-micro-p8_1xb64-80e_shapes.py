# Launch: python tools/train.py \
#     configs/examples/ibot_vit-micro-p8_1xb64-80e_shapes.py
#
# Schedule: 1 process x batch 64 x accumulation 1 = 64 images per step;
# learning rate 1e-3 as in the quickstart; 37 steps per epoch, 2960 in all:
# about half an hour on 2 cores.
#
# The quickstart with four times as many steps, a low final learning rate and a
# momentum that ends at 1, as in the paper.
# Aim: k-NN 10 points above both the untrained network and raw pixels.
_base_ = 'ibot_vit-micro-p8_1xb64-20e_shapes.py'

param_scheduler = [
    dict(
        type='ibot_mm.WarmupCosineLR',
        eta_min=1e-5,
        warmup=2,
        by_epoch=True,
        convert_to_iter_based=True),
    dict(
        type='ibot_mm.CosineWeightDecay',
        eta_end=0.1,
        by_epoch=True,
        convert_to_iter_based=True),
]
default_hooks = dict(teacher_ema=dict(momentum=0.99, end_momentum=1.0))
train_cfg = dict(max_epochs=80)
