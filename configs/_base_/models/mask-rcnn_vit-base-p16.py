# Mask R-CNN on ViT-B/16. The official code's position embedding is for
# 672 x 1092 pixels, of which whole patches are used.
_base_ = 'mask-rcnn_vit-small-p16.py'

model = dict(
    backbone=dict(arch='base', img_size=(672, 1088), drop_path_rate=0.2),
    neck=[
        dict(type='ibot_mm.ViTPyramid', in_channels=768),
        dict(
            type='FPN',
            in_channels=[768, 768, 768, 768],
            out_channels=256,
            num_outs=5),
    ])
