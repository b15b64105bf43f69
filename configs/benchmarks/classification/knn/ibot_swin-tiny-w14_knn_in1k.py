# python tools/test.py configs/benchmarks/classification/knn/ibot_swin-tiny-w14_knn_in1k.py CHECKPOINT
#
# 1,281,167 images are the bank for 50,000 queries.
# Published (release): k-NN 76.2.
_base_ = 'ibot_swin-tiny-w7_knn_in1k.py'

model = dict(backbone=dict(window_size=14))
