# Copydays: 157 originals, 229 strong copies, and the originals in 9 JPEG
# qualities and 9 crops.
data_root = 'data/copydays'

load_image = dict(type='ibot_mm.LoadImage')
resize = dict(
    type='mmpretrain.Resize',
    scale=(224, 224),
    backend='pillow',
    interpolation='bicubic')
pack_inputs = dict(type='PackInputs')
test_pipeline = [load_image, resize, pack_inputs]
dataset = dict(
    type='ibot_mm.Copydays', data_root=data_root, pipeline=test_pipeline)
test_dataloader = dict(
    batch_size=64,
    num_workers=10,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(dataset, split='queries'))
# Folders of other photographs, '' for none.
bank_dataloader = dict(
    test_dataloader,
    dataset=dict(dataset, split='database', distractors='', whitening=''))
test_evaluator = []
test_cfg = dict(
    type='ibot_mm.FeatureTestLoop',
    bank_dataloader=bank_dataloader,
    cache_dir=None)
