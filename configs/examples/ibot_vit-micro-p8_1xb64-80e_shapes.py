# python tools/train.py configs/examples/ibot_vit-micro-p8_1xb64-80e_shapes.py
#
# 1 process x batch 64 = 64 images per step; lr = 1e-3 as in the quickstart;
# 37 steps per epoch, 2960 in all: about half an hour on 2 cores.
#
# The quickstart with four times as many steps, a low final learning rate and a
# momentum that ends at 1, as in the paper.
_base_ = 'ibot_vit-micro-p8_1xb64-20e_shapes.py'

param_scheduler = [
    dict(_base_.lr_schedule, eta_min=1e-5, warmup=2),
    dict(_base_.weight_decay_schedule, eta_end=0.1)]
default_hooks = dict(teacher_ema=dict(momentum=0.99, end_momentum=1.0))
train_cfg = dict(max_epochs=80)
