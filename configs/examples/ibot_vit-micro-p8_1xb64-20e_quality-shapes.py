# python tools/train.py configs/examples/ibot_vit-micro-p8_1xb64-20e_quality-shapes.py
#
# The quickstart, validated by more than k-NN: by what needs no labels (the
# first five), by the agreement of the prototypes with the classes, and by the
# label maps of the same scenes. The training is the same to the bit.
# docs/label_free_quality.md tells which of them can be trusted.
#
# Schedule as in the quickstart: 1 process x batch 64 = 64 images per step, lr
# 1e-3, 37 steps per epoch, 740 in all.
_base_ = 'ibot_vit-micro-p8_1xb64-20e_shapes.py'

val_cfg = dict(views=dict(num_images=300, num_views=8, size=48))
val_evaluator = [
    dict(type='ibot_mm.RankMe'),
    dict(type='ibot_mm.Uniformity'),
    dict(type='ibot_mm.LiDAR'),
    dict(type='ibot_mm.Alignment'),
    dict(type='ibot_mm.PartMatches'),
    dict(type='ibot_mm.TeacherClustering'),
    dict(
        type='ibot_mm.KNNSegmentation',
        data_root='data/shapes/ade20k',
        num_classes=12,
        size=96,
        num_train=300,
        num_val=150,
        bank_size=20_000),
]
