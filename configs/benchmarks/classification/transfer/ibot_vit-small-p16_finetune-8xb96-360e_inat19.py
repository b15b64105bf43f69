# bash tools/dist_train.sh configs/benchmarks/classification/transfer/ibot_vit-small-p16_finetune-8xb96-360e_inat19.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x batch 96 = 768 images per step; lr = 2.5e-5 x 768 / 512 = 3.75e-5.
# 265,213 // 768 = 345 steps per epoch, 124,200 in all.
# Published (paper): 78.5 on iNaturalist 2019.
_base_ = [
    '../../../_base_/models/finetune_vit-small-p16.py',
    '../../../_base_/datasets/inat19_finetune.py',
    '../../../_base_/schedules/finetune_deit.py',
    '../../../_base_/evaluation_runtime.py',
]

model = dict(
    data_preprocessor=dict(num_classes=1010),
    head=dict(
        num_classes=1010,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02)))
optim_wrapper = dict(optimizer=dict(lr=2.5e-5 * 768 / 512))
train_cfg = dict(max_epochs=360)
