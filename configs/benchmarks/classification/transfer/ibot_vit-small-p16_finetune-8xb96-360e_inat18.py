# bash tools/dist_train.sh configs/benchmarks/classification/transfer/ibot_vit-small-p16_finetune-8xb96-360e_inat18.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x batch 96 = 768 images per step; lr = 5e-5 x 768 / 512 = 7.5e-5.
# 437,513 // 768 = 569 steps per epoch, 204,840 in all.
# Published (paper): 73.7 on iNaturalist 2018.
_base_ = [
    '../../../_base_/models/finetune_vit-small-p16.py',
    '../../../_base_/datasets/inat18_finetune.py',
    '../../../_base_/schedules/finetune_deit.py',
    '../../../_base_/evaluation_runtime.py',
]

model = dict(
    data_preprocessor=dict(num_classes=8142),
    head=dict(
        num_classes=8142,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02)))
optim_wrapper = dict(optimizer=dict(lr=5e-5 * 768 / 512))
train_cfg = dict(max_epochs=360)
