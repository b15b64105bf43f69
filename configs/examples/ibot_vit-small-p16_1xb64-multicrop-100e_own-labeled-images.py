# python tools/train.py configs/examples/ibot_vit-small-p16_1xb64-multicrop-100e_own-labeled-images.py
#
# 1 GPU x batch 64 = 64 images per step; lr = 5e-4 x 64 / 256 = 1.25e-4. For
# another batch or more GPUs add --auto-scale-lr.
#
# Template for your own images in class folders: train/<class>/ and
# val/<class>/ in data_root. The training uses no labels; k-NN on them shows
# every 10 epochs what it has learned. To inherit from it, set data_root of
# the three data sets.
_base_ = '../ibot/ibot_vit-small-p16_1xb64-multicrop-100e_in1k.py'

data_root = 'data/my_images/'

train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
val_cfg = dict(bank_dataloader=dict(dataset=dict(data_root=data_root)))

# An epoch has images // 64 steps: small data sets need more epochs.
# Few steps lower the teacher's momentum, so that at most 1 % of its initial
# weights are left at the end.
train_cfg = dict(max_epochs=100)
default_hooks = dict(teacher_ema=dict(max_initial_share=0.01))
