# python tools/test.py configs/benchmarks/classification/knn/ibot_swin-tiny-w7_knn_in1k.py CHECKPOINT
#
# 1,281,167 images are the bank for 50,000 queries.
# Published (release): k-NN 75.3.
_base_ = 'ibot_vit-small-p16_knn_in1k.py'

model = dict(
    backbone=dict(
        _delete_=True, type='ibot_mm.IBOTSwin', arch='tiny', img_size=224,
        window_size=7))
