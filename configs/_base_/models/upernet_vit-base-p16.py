# UperNet on a plain ViT: MMSegmentation's model for BEiT, with its pyramid (x4,
# x2, x1, x1/2 from four layers), on iBOT's backbone. The position embedding is
# resized to the training size once, when it is loaded, and trained at that
# size.
_base_ = [
    __import__('ibot_mm').config_path('mmseg::_base_/models/upernet_beit.py')
]

model = dict(
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(
        _delete_=True,
        type='ibot_mm.IBOTViT',
        arch='base',
        img_size=512,
        patch_size=16,
        drop_path_rate=0.1,
        out_type='featmap',
        out_indices=(3, 5, 7, 11),
        out_with_norm=True,
        init_cfg=dict(type='Pretrained', checkpoint='')),
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)))
