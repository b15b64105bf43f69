# ViT-B/16. The gain of the prototypes is fixed at 1 (help text of the
# release's option norm_last_layer, and copies of its arguments).
_base_ = 'ibot_vit-small-p16.py'

model = dict(
    backbone=dict(arch='base'),
    neck=dict(in_channels=768, norm_last_layer=True))
