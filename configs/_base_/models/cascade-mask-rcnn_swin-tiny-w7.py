# Cascade Mask R-CNN on Swin-T with windows of 7. img_size lays out the windows:
# at 800 the last stage shifts them too.
_base_ = 'cascade-mask-rcnn_4conv1fc-giou.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ibot_mm.IBOTSwin',
        arch='tiny',
        img_size=800,
        window_size=7,
        drop_path_rate=0.2,
        out_indices=(0, 1, 2, 3),
        init_cfg=dict(type='Pretrained', checkpoint='')),
    neck=dict(in_channels=[96, 192, 384, 768]))
