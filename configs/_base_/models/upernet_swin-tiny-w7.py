# UperNet on Swin-T: MMSegmentation's model with iBOT's backbone. img_size lays
# out the windows: at 512 the last stage shifts them too.
_base_ = [
    __import__('ibot_mm').config_path('mmseg::_base_/models/upernet_swin.py')
]

model = dict(
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(
        _delete_=True,
        type='ibot_mm.IBOTSwin',
        arch='tiny',
        img_size=512,
        window_size=7,
        drop_path_rate=0.3,
        out_indices=(0, 1, 2, 3),
        init_cfg=dict(type='Pretrained', checkpoint='')),
    decode_head=dict(num_classes=150),
    auxiliary_head=dict(num_classes=150))
