# Launch: bash tools/dist_train.sh \
#     configs/benchmarks/classification/semi/ibot_vit-small-p16_finetune-8xb128-1000e_in1k-1pct.py \
#     8 --pretrained CHECKPOINT
#
# data/imagenet/1percent.txt: list file of SimCLRv2, one image name per line
# (other paths: --cfg-options train_dataloader.dataset.subset=PATH). The
# checkpoint must contain the projection head.
# Schedule: 8 GPUs x batch 128 x accumulation 1 = 1024 images per step; lr =
# 5e-6 x 1024 / 512 = 1e-5, warm-up 5 epochs, then 1e-5 (the end of the
# official code's cosine, too); 12,811 // 1024 = 12 steps per epoch, 12,000 in
# all.
# Aim (published, paper): 61.9 top-1 with 1% of the labels, from the first
# projection layer. Not reproduced here.
_base_ = [
    '../../../_base_/models/finetune_vit-small-p16.py',
    '../../../_base_/datasets/imagenet_finetune.py',
    '../../../_base_/schedules/finetune_deit.py',
    '../../../_base_/evaluation_runtime.py',
]

model = dict(
    neck=dict(
        type='ibot_mm.ProjectionNeck',
        in_channels=384,
        hidden_channels=2048,
        init_cfg=dict(type='Pretrained', checkpoint='')),
    head=dict(
        in_channels=2048,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02)))
train_dataloader = dict(
    sampler=dict(_delete_=True, type='RepeatAugSampler', num_repeats=3),
    dataset=dict(subset='data/imagenet/1percent.txt'))
test_pipeline = _base_.test_pipeline
test_pipeline[1].interpolation = 'bicubic'
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(lr=5e-6 * 1024 / 512))
auto_scale_lr = dict(base_batch_size=1024)
