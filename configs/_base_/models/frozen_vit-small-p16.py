# Frozen backbone for feature extraction; tools/test.py loads its checkpoint.
model = dict(
    type='ibot_mm.FeatureExtractor',
    data_preprocessor=dict(
        type='mmpretrain.ClsDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True),
    backbone=dict(
        type='ibot_mm.IBOTViT', arch='small', img_size=224, patch_size=16))
