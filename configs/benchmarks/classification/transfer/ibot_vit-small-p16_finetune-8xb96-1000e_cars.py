# bash tools/dist_train.sh configs/benchmarks/classification/transfer/ibot_vit-small-p16_finetune-8xb96-1000e_cars.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x batch 96 = 768 images per step; lr = 7.5e-5 x 768 / 512 =
# 1.125e-4. 8,144 // 768 = 10 steps per epoch, 10,000 in all.
# Published (paper): 94.0 on Stanford Cars.
_base_ = [
    '../../../_base_/models/finetune_vit-small-p16.py',
    '../../../_base_/datasets/cars_finetune.py',
    '../../../_base_/schedules/finetune_deit.py',
    '../../../_base_/evaluation_runtime.py',
]

model = dict(
    data_preprocessor=dict(num_classes=196),
    head=dict(
        num_classes=196,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02)))
optim_wrapper = dict(optimizer=dict(lr=7.5e-5 * 768 / 512))
