# ViT-L/16. That the gain of the prototypes is fixed is assumed, from ViT-B.
_base_ = 'ibot_vit-base-p16.py'

model = dict(backbone=dict(arch='large'), neck=dict(in_channels=1024))
