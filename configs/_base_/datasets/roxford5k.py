# Revisited Oxford buildings: 70 queries, 4,993 images.
data_root = 'data/roxford5k'
ann_file = 'gnd_roxford5k.pkl'

test_pipeline = [
    dict(type='ibot_mm.LoadImage'),
    dict(type='ibot_mm.ShrinkImage', max_side=512),
    dict(type='PackInputs'),
]
dataset = dict(
    type='ibot_mm.RevisitedBuildings',
    data_root=data_root,
    ann_file=ann_file,
    pipeline=test_pipeline)
# One image at a time, because their sizes differ.
test_dataloader = dict(
    batch_size=1,
    num_workers=10,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(dataset, split='queries'))
bank_dataloader = dict(test_dataloader, dataset=dict(dataset, split='database'))
test_evaluator = []
test_cfg = dict(
    type='ibot_mm.FeatureTestLoop',
    bank_dataloader=bank_dataloader,
    log_interval=500,
    cache_dir=None)
