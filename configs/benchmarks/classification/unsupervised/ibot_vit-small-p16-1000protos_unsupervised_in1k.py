# python tools/test.py configs/benchmarks/classification/unsupervised/ibot_vit-small-p16-1000protos_unsupervised_in1k.py CHECKPOINT
#
# The cluster of each of the 50,000 validation images is its most likely
# prototype; labels are for the scores only.
# Published (paper): ACC 43.4, ARI 32.8, NMI 78.6, FMI 35.6.
#
# CHECKPOINT: of the pre-training with 1000 prototypes, with its projection
# head (extract_backbone.py --with-neck).
_base_ = [
    '../../../_base_/models/frozen_vit-small-p16.py',
    '../../../_base_/datasets/imagenet_frozen.py',
    '../../../_base_/evaluation_runtime.py',
]

model = dict(
    neck=dict(
        type='ibot_mm.IBOTNeck',
        in_channels=384,
        hidden_channels=2048,
        bottleneck_channels=256,
        num_layers=3,
        num_prototypes=1000))
test_cfg = dict(protocol=dict(type='ibot_mm.PrototypeClustering'))
