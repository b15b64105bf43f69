# bash tools/dist_train.sh configs/benchmarks/classification/semi/ibot_vit-small-p16_finetune-8xb128-1000e_in1k-1pct.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x batch 128 = 1024 images per step; lr = 5e-6 x 1024 / 512 = 1e-5,
# which is also the end of the release's cosine. 12,811 // 1024 = 12 steps
# per epoch, 12,000 in all.
# Published (paper, table 12): 61.9 with 1% of the labels.
#
# From the first projection layer: the checkpoint must contain the projection
# head.
# data/imagenet/1percent.txt: SimCLRv2's list, one image name per line
# (another path: --cfg-options train_dataloader.dataset.subset=PATH).
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
resize = dict(_base_.resize, interpolation='bicubic')
test_pipeline = [
    _base_.load_image, resize, _base_.center_crop, _base_.pack_inputs]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(lr=5e-6 * 1024 / 512))
auto_scale_lr = dict(base_batch_size=1024)
