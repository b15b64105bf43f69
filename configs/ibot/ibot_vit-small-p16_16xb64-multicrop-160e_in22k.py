# 2 nodes x 8 GPUs; on any other number add --auto-scale-lr:
# NNODES=2 NODE_RANK=0 MASTER_ADDR=host0 bash tools/dist_train.sh configs/ibot/ibot_vit-small-p16_16xb64-multicrop-160e_in22k.py 8
#
# 16 GPUs x batch 64 = 1024 images per step; lr = 5e-4 x 1024 / 256 = 2e-3.
# 14,197,086 // 1024 = 13,864 steps per epoch, 2,218,240 in all
# (the images of the full data set; your copy may lack some).
# Published (paper, table 15), on ImageNet-1K: k-NN 69.3, linear 76.5.
#
# The arguments of this run are unknown. Warm-ups take the same share of the
# run as on ImageNet-1K (10 and 30 epochs of 800), which is assumed. Validation
# is k-NN on ImageNet-1K.
_base_ = 'ibot_vit-small-p16_16xb64-multicrop-800e_in1k.py'

train_dataloader = dict(
    dataset=dict(data_root='data/imagenet22k/', data_prefix=''))
param_scheduler = [
    dict(_base_.lr_schedule, warmup=2), _base_.weight_decay_schedule]
default_hooks = dict(teacher_temperature=dict(warmup_epochs=6))
train_cfg = dict(max_epochs=160, val_interval=10)
