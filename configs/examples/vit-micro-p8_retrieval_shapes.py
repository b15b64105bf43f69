# python tools/test.py configs/examples/vit-micro-p8_retrieval_shapes.py work_dirs/quickstart_seed0/epoch_20.pth
#
# The protocol of ROxford5k with the network of the quickstart, on views of
# scenes: 24 queries in 288 images, longer side at most 112 pixels.
_base_ = [
    '../_base_/models/frozen_vit-micro-p8.py',
    '../_base_/datasets/roxford5k.py',
    '../_base_/evaluation_runtime.py',
]

data_root = 'data/shapes/retrieval'
pipeline = [
    dict(type='ibot_mm.LoadImage'),
    dict(type='ibot_mm.ShrinkImage', max_side=112),
    dict(type='PackInputs'),
]
dataset = dict(
    data_root=data_root, ann_file='gnd_retrieval.pkl', pipeline=pipeline)
model = dict(
    type='ibot_mm.DescriptorExtractor', scales=[1., 2**-0.5, 0.5])
test_dataloader = dict(num_workers=1, dataset=dataset)
test_cfg = dict(
    bank_dataloader=dict(num_workers=1, dataset=dataset),
    protocol=dict(
        type='ibot_mm.RevisitedRetrieval',
        ann_file=f'{data_root}/gnd_retrieval.pkl'))
