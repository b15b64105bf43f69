# bash tools/dist_train.sh configs/benchmarks/classification/transfer/ibot_vit-base-p16_finetune-8xb96-1000e_cars.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x batch 96 = 768 images per step; lr = 7.5e-5 x 768 / 512 =
# 1.125e-4. 8,144 // 768 = 10 steps per epoch, 10,000 in all.
# Published (paper): 94.3 on Stanford Cars.
_base_ = 'ibot_vit-small-p16_finetune-8xb96-1000e_cars.py'

model = dict(backbone=dict(arch='base'), head=dict(in_channels=768))
