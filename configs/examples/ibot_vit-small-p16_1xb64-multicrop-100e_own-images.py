# python tools/train.py configs/examples/ibot_vit-small-p16_1xb64-multicrop-100e_own-images.py
#
# 1 GPU x batch 64 = 64 images per step; lr = 5e-4 x 64 / 256 = 1.25e-4. For
# another batch or more GPUs add --auto-scale-lr.
#
# Template for your own images: copy it or inherit from it.
# docs/own_data.md explains each part. To start from weights that exist, add
# --pretrained CHECKPOINT.
_base_ = '../ibot/ibot_vit-small-p16_1xb64-multicrop-100e_in1k.py'

# Any folder of images, nested or not; labels are not used. For a list file:
# ann_file='list.txt', one path per line.
train_dataloader = dict(
    dataset=dict(
        data_root='data/my_images/', data_prefix='', with_label=False))

# An epoch has images // 64 steps: small data sets need more epochs.
# Few steps lower the teacher's momentum, so that at most 1 % of its initial
# weights are left at the end.
train_cfg = dict(max_epochs=100)
default_hooks = dict(teacher_ema=dict(max_initial_share=0.01))

# Without labels there is no k-NN during training. With labels, inherit from
# ibot_vit-small-p16_1xb64-multicrop-100e_own-labeled-images.py instead.
val_cfg = None
val_dataloader = None
val_evaluator = None

# For another input size, such as 160 with local crops of 64: img_size is the
# size of the global crops, and both sizes must be multiples of the patch size.
#     model = dict(backbone=dict(img_size=160))
#     multi_crop = dict(
#         type='ibot_mm.MultiCrop',
#         global_crops=[
#             dict(size=160, scale=(0.25, 1.0), blur_prob=1.0),
#             dict(size=160, scale=(0.25, 1.0), blur_prob=0.1,
#                  solarize_prob=0.2),
#         ],
#         local_crops=[
#             dict(num=10, size=64, scale=(0.05, 0.25), blur_prob=0.5)])
#     train_dataloader = dict(dataset=dict(
#         pipeline=[_base_.load_image, multi_crop, _base_.masks]))
#
# For another number of channels or 16-bit images see
# ibot_vit-small-p16_1xb64-multicrop-100e_six-channels.py.
