# python tools/test.py configs/benchmarks/robustness/ibot_vit-small-p16_imagenet-v2.py CLASSIFIER
#
# ImageNet-V2 (matched frequency): 10,000 new images of the 1,000 classes, in
# folders named 0 to 999. Published: no result of iBOT.
_base_ = 'ibot_vit-small-p16_imagenet-a.py'

test_dataloader = dict(
    dataset=dict(
        data_root='data/imagenetv2-matched-frequency-format-val',
        classes_from=None,
        numbered=True))
