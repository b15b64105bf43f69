# python tools/test.py configs/benchmarks/robustness/ibot_vit-small-p16_imagenet-r.py CLASSIFIER
#
# ImageNet-R: 30,000 drawings, sculptures and the like of 200 classes; logits
# are restricted to these. Published: no result of iBOT.
_base_ = 'ibot_vit-small-p16_imagenet-a.py'

test_dataloader = dict(dataset=dict(data_root='data/imagenet-r'))
