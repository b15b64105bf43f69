# bash tools/dist_train.sh configs/benchmarks/classification/transfer/ibot_vit-small-p16_finetune-8xb96-1000e_cifar100.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x batch 96 = 768 images per step; lr = 7.5e-6 x 768 / 512 =
# 1.125e-5. 50,000 // 768 = 65 steps per epoch, 65,000 in all.
# Published (paper): 90.7 on CIFAR-100.
_base_ = [
    '../../../_base_/models/finetune_vit-small-p16.py',
    '../../../_base_/datasets/cifar100_finetune.py',
    '../../../_base_/schedules/finetune_deit.py',
    '../../../_base_/evaluation_runtime.py',
]

model = dict(
    data_preprocessor=dict(num_classes=100),
    head=dict(
        num_classes=100,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02)))
optim_wrapper = dict(optimizer=dict(lr=7.5e-6 * 768 / 512))
