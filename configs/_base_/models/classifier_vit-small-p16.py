# ViT-S/16 and the linear classifier of the linear probe: CLS tokens of the
# last 4 blocks. tools/test.py loads the checkpoint that
# tools/model_converters/merge_linear_head.py writes.
model = dict(
    type='ibot_mm.LinearClassifier',
    n_last_blocks=4,
    pooling='cls',
    data_preprocessor=dict(
        type='mmpretrain.ClsDataPreprocessor',
        num_classes=1000,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True),
    backbone=dict(
        type='ibot_mm.IBOTViT', arch='small', img_size=224, patch_size=16),
    head=dict(type='LinearClsHead', num_classes=1000, in_channels=1536))
