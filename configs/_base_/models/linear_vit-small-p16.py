# Frozen ViT-S/16: CLS tokens of the last 4 blocks (each after the final norm)
# and one linear classifier per learning rate (45). --pretrained sets the
# checkpoint of the backbone.
model = dict(
    type='ibot_mm.LinearProbe',
    num_classes=1000,
    n_last_blocks=4,
    pooling='cls',
    data_preprocessor=dict(
        type='mmpretrain.ClsDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True),
    backbone=dict(
        type='ibot_mm.IBOTViT',
        arch='small',
        img_size=224,
        patch_size=16,
        init_cfg=dict(type='Pretrained', checkpoint='')))
