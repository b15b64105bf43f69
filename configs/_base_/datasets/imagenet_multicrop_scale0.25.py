# ImageNet-1K: 2 global crops of 224 and 10 local crops of 96, split at the
# scale 0.25 (the official code's commands for ViT-S; the paper's default,
# appendix B, is 0.32), the augmentations of the official code, block masks on
# the global crops, and k-NN validation of the teacher. A mask ratio is drawn
# from {0, U(0.1, 0.5)} for each crop, as in the official code ("per image" in
# the paper).
_base_ = 'imagenet_center-crop.py'

multi_crop = dict(
    type='ibot_mm.MultiCrop',
    global_crops=[
        dict(size=224, scale=(0.25, 1.0), blur_prob=1.0),
        dict(size=224, scale=(0.25, 1.0), blur_prob=0.1, solarize_prob=0.2),
    ],
    local_crops=[dict(num=10, size=96, scale=(0.05, 0.25), blur_prob=0.5)])
masks = dict(
    type='ibot_mm.MaskGlobalCrops',
    patch_size=16,
    generator=dict(
        type='ibot_mm.BlockMaskGenerator',
        ratio=[0, 0.3],
        ratio_var=[0, 0.2]))
train_pipeline = [_base_.load_image, multi_crop, masks]

train_dataloader = dict(
    batch_size=64,
    num_workers=12,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    sampler=dict(type='ibot_mm.PretrainSampler', shuffle=True),
    collate_fn=dict(type='ibot_mm.multi_crop_collate'),
    dataset=dict(
        type='ibot_mm.PretrainDataset',
        data_root=_base_.data_root,
        data_prefix='train',
        with_label=False,
        pipeline=train_pipeline))

val_dataloader = dict(
    batch_size=256,
    num_workers=10,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='ibot_mm.LabeledDataset',
        data_root=_base_.data_root,
        data_prefix='val',
        classes_prefix='train',
        pipeline=_base_.test_pipeline))
bank_dataloader = dict(
    batch_size=256,
    num_workers=10,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='ibot_mm.LabeledDataset',
        data_root=_base_.data_root,
        data_prefix='train',
        pipeline=_base_.test_pipeline))
val_cfg = dict(
    type='ibot_mm.KNNValLoop',
    bank_dataloader=bank_dataloader,
    k=[20, 10, 100, 200],
    temperature=0.07)
val_evaluator = []
