# Mask R-CNN on ViT-S/16: a pyramid (x4, x2, x1, x1/2) of four layers'
# outputs without the final norm, then FPN. The position embedding is resized
# to the training size once, when it is loaded, and trained at that size.
# with_cp recomputes activations.
_base_ = 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ibot_mm.IBOTViT',
        arch='small',
        img_size=(800, 1008),
        patch_size=16,
        drop_path_rate=0.1,
        out_type='featmap',
        out_indices=(3, 5, 7, 11),
        out_with_norm=False,
        with_cp=True,
        init_cfg=dict(type='Pretrained', checkpoint='')),
    neck=[
        dict(type='ibot_mm.ViTPyramid', in_channels=384),
        dict(
            type='FPN',
            in_channels=[384, 384, 384, 384],
            out_channels=256,
            num_outs=5),
    ])
