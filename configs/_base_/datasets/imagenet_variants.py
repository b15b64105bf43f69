# Test sets made for classifiers of ImageNet-1K: resized to 256 (bilinear) and
# center-cropped to 224. `classes_from` numbers the class folders as in the
# training of the classifier: the folder of its training images, its
# checkpoint (.pth), or a text file with a class folder per line.
_base_ = 'imagenet_center-crop.py'

resize = dict(_base_.resize, interpolation='bilinear')
test_pipeline = [
    _base_.load_image, resize, _base_.center_crop, _base_.pack_inputs]
test_dataloader = dict(
    batch_size=128,
    num_workers=10,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='ibot_mm.VariantDataset',
        data_root='',
        classes_from='data/imagenet/train',
        pipeline=test_pipeline))
test_cfg = dict()
