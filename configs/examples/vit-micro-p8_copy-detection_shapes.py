# python tools/test.py configs/examples/vit-micro-p8_copy-detection_shapes.py work_dirs/quickstart_seed0/epoch_20.pth
#
# The protocol of Copydays with the network of the quickstart, on copies of 40
# scenes among 160 distractors. With whitening:
#   --cfg-options test_cfg.bank_dataloader.dataset.whitening=data/shapes/copydays/whitening
_base_ = [
    '../_base_/models/frozen_vit-micro-p8.py',
    '../_base_/datasets/copydays.py',
    '../_base_/evaluation_runtime.py',
]

data_root = 'data/shapes/copydays'
pipeline = [
    _base_.load_image,
    dict(_base_.resize, scale=(48, 48)),
    _base_.pack_inputs,
]
dataset = dict(data_root=data_root, pipeline=pipeline)
model = dict(type='ibot_mm.DescriptorExtractor', gem_power=4)
test_dataloader = dict(num_workers=1, dataset=dataset)
test_cfg = dict(
    bank_dataloader=dict(
        num_workers=1,
        dataset=dict(dataset, distractors=f'{data_root}/distractors')),
    protocol=dict(type='ibot_mm.CopyDetection', data_root=data_root))
