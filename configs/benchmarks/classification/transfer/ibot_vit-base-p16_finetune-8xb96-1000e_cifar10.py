# bash tools/dist_train.sh configs/benchmarks/classification/transfer/ibot_vit-base-p16_finetune-8xb96-1000e_cifar10.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x batch 96 = 768 images per step; lr = 7.5e-6 x 768 / 512 =
# 1.125e-5. 50,000 // 768 = 65 steps per epoch, 65,000 in all.
# Published (paper): 99.2 on CIFAR-10.
_base_ = 'ibot_vit-small-p16_finetune-8xb96-1000e_cifar10.py'

model = dict(backbone=dict(arch='base'), head=dict(in_channels=768))
