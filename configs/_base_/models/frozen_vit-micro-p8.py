# The quickstart's network, frozen; tools/test.py loads its checkpoint.
_base_ = 'frozen_vit-small-p16.py'

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=96,
            num_layers=4,
            num_heads=3,
            feedforward_channels=384),
        img_size=48,
        patch_size=8))
