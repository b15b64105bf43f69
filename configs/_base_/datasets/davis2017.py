# DAVIS 2017, 480p: 30 videos for validation.
data_root = 'data/davis2017'

test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='ibot_mm.DAVIS',
        data_root=data_root,
        pipeline=[
            dict(type='ibot_mm.LoadImage'),
            dict(type='ibot_mm.ResizeShortSide', short_side=480, divisor=64),
            dict(type='PackInputs'),
        ]))
test_evaluator = []
