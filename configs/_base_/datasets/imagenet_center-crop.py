# Test images of ImageNet-1K: resized to 256 (bicubic) and center-cropped to
# 224. The steps of a pipeline have names, so that other files can replace one:
#
#     resize = dict(_base_.resize, scale=292)
#     test_pipeline = [
#         _base_.load_image, resize, _base_.center_crop, _base_.pack_inputs]
data_root = 'data/imagenet/'

load_image = dict(type='ibot_mm.LoadImage')
resize = dict(
    type='ResizeEdge',
    scale=256,
    edge='short',
    backend='pillow',
    interpolation='bicubic')
center_crop = dict(type='CenterCrop', crop_size=224)
pack_inputs = dict(type='PackInputs')
test_pipeline = [load_image, resize, center_crop, pack_inputs]
