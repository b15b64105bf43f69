# python tools/test.py configs/benchmarks/retrieval/ibot_vit-small-p16_roxford5k.py CHECKPOINT
#
# 70 queries in 4,993 images, longer side at most 512 pixels, three scales.
# Published mAP, medium / hard: iBOT 36.6 / 13.0, DINO 37.2 / 13.9 (iBOT's
# paper, table 16), DINO 41.8 / 13.7 (its own paper, table 3).
_base_ = [
    '../../_base_/models/frozen_vit-small-p16.py',
    '../../_base_/datasets/roxford5k.py',
    '../../_base_/evaluation_runtime.py',
]

model = dict(
    type='ibot_mm.DescriptorExtractor', scales=[1., 2**-0.5, 0.5])
test_cfg = dict(
    protocol=dict(
        type='ibot_mm.RevisitedRetrieval',
        ann_file=f'{_base_.data_root}/{_base_.ann_file}'))
