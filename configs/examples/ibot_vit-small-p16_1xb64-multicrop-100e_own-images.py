# Launch: python tools/train.py \
#     configs/examples/ibot_vit-small-p16_1xb64-multicrop-100e_own-images.py
#
# Schedule: 1 GPU x batch 64 x accumulation 1 = 64 images per step;
# lr = 5e-4 x 64 / 256 = 1.25e-4, warm-up 10 epochs from 0, cosine to 1e-6.
# For another batch or more GPUs add --auto-scale-lr.
#
# Template for your own images: copy it or inherit from it.
# docs/own_data.md explains each part.
_base_ = '../ibot/ibot_vit-small-p16_1xb64-multicrop-100e_in1k.py'

# Any folder of images, nested or not; labels are not used. For a list file:
# ann_file='list.txt', one path per line.
train_dataloader = dict(
    dataset=dict(
        data_root='data/my_images/', data_prefix='', with_label=False))

# An epoch has images // 64 steps: small data sets need more epochs.
train_cfg = dict(max_epochs=100)

# Without labels there is no k-NN during training. With labeled class folders
# remove these three lines and set data_root of val_dataloader and of
# val_cfg.bank_dataloader.
val_cfg = None
val_dataloader = None
val_evaluator = None

# For another input size, such as 160 with local crops of 64: img_size is the
# size of the global crops, and both sizes must be multiples of the patch size.
#     model = dict(backbone=dict(img_size=160))
#     train_pipeline = _base_.train_pipeline
#     train_pipeline[1].global_crops[0].size = 160
#     train_pipeline[1].global_crops[1].size = 160
#     train_pipeline[1].local_crops[0].size = 64
#     train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
#
# For another number of channels or 16-bit images see
# ibot_vit-small-p16_1xb64-multicrop-100e_six-channels.py.
