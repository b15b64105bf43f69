# python tools/test.py configs/benchmarks/robustness/ibot_vit-small-p16_imagenet-a.py CLASSIFIER
#
# ImageNet-A: 7,500 natural images of 200 classes; logits are restricted to
# these. CLASSIFIER is written by tools/model_converters/merge_linear_head.py.
# Published (paper, table 8): iBOT 13.8, DINO 12.3.
_base_ = [
    '../../_base_/models/classifier_vit-small-p16.py',
    '../../_base_/datasets/imagenet_variants.py',
    '../../_base_/evaluation_runtime.py',
]

test_dataloader = dict(dataset=dict(data_root='data/imagenet-a'))
test_evaluator = dict(type='ibot_mm.RestrictedAccuracy')
