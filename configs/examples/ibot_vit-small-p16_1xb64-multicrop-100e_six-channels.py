# python tools/train.py configs/examples/ibot_vit-small-p16_1xb64-multicrop-100e_six-channels.py
#
# 1 GPU x batch 64 = 64 images per step; lr = 5e-4 x 64 / 256 = 1.25e-4.
#
# Example for images other than photos: TIFF files with six 16-bit channels
# (multispectral, microscopy), in any folder, without labels.
_base_ = 'ibot_vit-small-p16_1xb64-multicrop-100e_own-images.py'

# Statistics of your channels in the units of the files (here 0 to 65535), as
# printed by python tools/dataset_tools/channel_statistics.py FOLDER.
model = dict(
    data_preprocessor=dict(
        mean=[16000., 16000., 16000., 16000., 16000., 16000.],
        std=[8000., 8000., 8000., 8000., 8000., 8000.],
        to_rgb=False),
    backbone=dict(in_channels=6))

# Brightness, contrast, blur and solarization support any channels. Saturation,
# hue and grayscale are only defined for 8-bit color images and raise an error
# unless they are disabled.
color = dict(jitter=(0.4, 0.4, 0., 0.), gray_prob=0.)
global_crop = dict(size=224, scale=(0.25, 1.0), **color)
load_image = dict(type='ibot_mm.LoadImage', color='unchanged', channels=6)
multi_crop = dict(
    type='ibot_mm.MultiCrop',
    global_crops=[
        dict(**global_crop, blur_prob=1.0),
        dict(**global_crop, blur_prob=0.1, solarize_prob=0.2),
    ],
    local_crops=[
        dict(num=10, size=96, scale=(0.05, 0.25), blur_prob=0.5, **color)])
train_pipeline = [load_image, multi_crop, _base_.masks]
train_dataloader = dict(
    dataset=dict(
        data_root='data/my_tiff_images/',
        extensions=('.tif', '.tiff'),
        pipeline=train_pipeline))
