# Swin-T with windows of 7. The drop path rate is that of the official code's
# model factory, which ignores the option (0.2 in its table of settings).
_base_ = 'ibot_vit-small-p16.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ibot_mm.IBOTSwin',
        arch='tiny',
        img_size=224,
        window_size=7,
        drop_path_rate=0.1,
        with_mask_token=True),
    neck=dict(in_channels=768),
    # Its blocks differ by stage and shift: too many kinds to compile.
    compile_blocks=None)
