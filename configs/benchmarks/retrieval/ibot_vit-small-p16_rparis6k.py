# python tools/test.py configs/benchmarks/retrieval/ibot_vit-small-p16_rparis6k.py CHECKPOINT
#
# 70 queries in 6,322 images, longer side at most 512 pixels, three scales.
# Published mAP, medium / hard: iBOT 61.5 / 34.1, DINO 63.1 / 34.4 (iBOT's
# paper, table 16).
_base_ = 'ibot_vit-small-p16_roxford5k.py'

files = dict(data_root='data/rparis6k', ann_file='gnd_rparis6k.pkl')
test_dataloader = dict(dataset=files)
test_cfg = dict(
    bank_dataloader=dict(dataset=files),
    protocol=dict(ann_file='data/rparis6k/gnd_rparis6k.pkl'))
