# python tools/test.py configs/examples/vit-micro-p8_video-segmentation_shapes.py work_dirs/quickstart_seed0/epoch_20.pth
#
# The protocol of DAVIS 2017 with the network of the quickstart, on 6 videos of
# two objects and 24 frames: 20 x 32 patches of 8 pixels.
_base_ = [
    '../_base_/models/frozen_vit-micro-p8.py',
    '../_base_/datasets/davis2017.py',
    '../_base_/evaluation_runtime.py',
]

test_dataloader = dict(
    dataset=dict(
        data_root='data/shapes/davis',
        pipeline=[
            dict(type='ibot_mm.LoadImage'),
            dict(type='ibot_mm.ResizeShortSide', short_side=160, divisor=64),
            dict(type='PackInputs'),
        ]))
test_cfg = dict(
    type='ibot_mm.VideoSegmentationTestLoop',
    protocol=dict(type='ibot_mm.LabelPropagation'),
    out_dir=None)
