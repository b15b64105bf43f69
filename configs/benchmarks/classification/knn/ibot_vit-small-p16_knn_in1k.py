# python tools/test.py configs/benchmarks/classification/knn/ibot_vit-small-p16_knn_in1k.py CHECKPOINT
#
# 1,281,167 images are the bank for 50,000 queries.
# Published (paper, tables 10 and 15): k-NN 75.2.
_base_ = [
    '../../../_base_/models/frozen_vit-small-p16.py',
    '../../../_base_/datasets/imagenet_frozen.py',
    '../../../_base_/evaluation_runtime.py',
]

test_cfg = dict(
    protocol=dict(
        type='ibot_mm.KNNClassification',
        k=[20, 10, 100, 200],
        temperature=0.07))
