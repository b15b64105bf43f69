# bash tools/dist_train.sh configs/benchmarks/classification/transfer/ibot_vit-base-p16_finetune-8xb96-360e_inat19.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x batch 96 = 768 images per step; lr = 7.5e-6 x 768 / 512 =
# 1.125e-5. 265,213 // 768 = 345 steps per epoch, 124,200 in all.
# Published (paper): 79.6 on iNaturalist 2019.
_base_ = 'ibot_vit-small-p16_finetune-8xb96-360e_inat19.py'

model = dict(backbone=dict(arch='base'), head=dict(in_channels=768))
optim_wrapper = dict(optimizer=dict(lr=7.5e-6 * 768 / 512))
