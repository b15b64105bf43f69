# python tools/train.py configs/ibot/ibot_vit-small-p16_1xb256-multicrop-100e_in1k.py
#
# 1 GPU x batch 256 = 256 images per step; lr = 5e-4 x 256 / 256 = 5e-4.
# 1,281,167 // 256 = 5,004 steps per epoch, 500,400 in all.
# The teacher's momentum keeps its time constant in images:
# 0.996^(256 / 1024) = 0.996^(1/4) = 0.999 (Busbridge et al.,
# arXiv 2307.13813).
_base_ = 'ibot_vit-small-p16_16xb64-multicrop-800e_in1k.py'

train_dataloader = dict(batch_size=256)
optim_wrapper = dict(optimizer=dict(lr=5e-4 * 256 / 256))
auto_scale_lr = dict(base_batch_size=256)
default_hooks = dict(teacher_ema=dict(momentum=0.999))
train_cfg = dict(max_epochs=100, val_interval=10)
