# python tools/test.py configs/benchmarks/robustness/ibot_vit-small-p16_occlusion-shuffle_in1k.py CLASSIFIER
#
# ImageNet's 50,000 validation images, each classified 1 + 20 + 3 x 18 times:
# with patches dropped at random (0 to 90 %) and by attention (the patches that
# hold 10 to 100 % of it, or all others), and with shuffled cells.
# Published (paper, table 8): accuracy when half of the information is lost by
# dropping salient and non-salient patches, iBOT 65.9 and 43.4, DINO 64.7 and
# 42.0. There the attention is that of head 1 (from 0) of DINO's ViT-S/16:
#     saliency=dict(
#         type='ibot_mm.IBOTViT', arch='small', patch_size=16,
#         init_cfg=dict(type='Pretrained', checkpoint=DINO)), saliency_head=1
_base_ = [
    '../../_base_/models/classifier_vit-small-p16.py',
    '../../_base_/datasets/imagenet_variants.py',
    '../../_base_/evaluation_runtime.py',
]

test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ibot_mm.LabeledDataset',
        data_root='data/imagenet/',
        data_prefix='val',
        classes_prefix='train',
        pipeline=_base_.test_pipeline))
test_evaluator = []
test_cfg = dict(
    type='ibot_mm.PerturbationTestLoop',
    ratios=[0., .1, .2, .3, .4, .5, .6, .7, .8, .9],
    masses=[.1, .2, .3, .4, .5, .6, .7, .8, .9, 1.],
    grids=[(1, 1), (2, 2), (2, 4), (4, 4), (4, 8), (8, 8), (14, 14),
           (16, 16)],
    drop_grid=(14, 14),
    repeats=3)
