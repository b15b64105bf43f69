# python tools/train.py configs/ibot/ibot_vit-small-p16_1xb64-multicrop-100e_in1k.py
#
# 1 GPU x batch 64 = 64 images per step; lr = 5e-4 x 64 / 256 = 1.25e-4.
# 1,281,167 // 64 = 20,018 steps per epoch, 2,001,800 in all.
# The teacher's momentum keeps its time constant in images:
# 0.996^(64 / 1024) = 0.996^(1/16) = 0.99975 (Busbridge et al.,
# arXiv 2307.13813).
_base_ = 'ibot_vit-small-p16_16xb64-multicrop-800e_in1k.py'

train_dataloader = dict(batch_size=64)
optim_wrapper = dict(optimizer=dict(lr=5e-4 * 64 / 256))
auto_scale_lr = dict(base_batch_size=64)
default_hooks = dict(teacher_ema=dict(momentum=0.99975))
train_cfg = dict(max_epochs=100, val_interval=10)
