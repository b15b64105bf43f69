# python tools/train.py configs/examples/ibot_vit-small-p16_finetune-1xb32-100e_own-classes.py --pretrained CHECKPOINT
#
# 1 GPU x batch 32 = 32 images per step; 500 images // 32 = 15 steps per
# epoch, 1,500 in all; warm-up 5 epochs, 75 steps. lr 5e-4, half of the
# published one: by the linear rule, 1e-3 x 32 / 1024 = 3e-5, the few steps
# would be too small. docs/evaluation.md has results on generated images.
#
# Template for your own classes with a few hundred images: copy it, and set
# num_classes and data_root.
_base_ = '../benchmarks/classification/finetune/ibot_vit-small-p16_finetune-8xb128-200e_in1k.py'

num_classes = 5
data_root = 'data/my_images/'  # with train/<class>/ and val/<class>/

# The published recipe mixes two images in every batch, for 200 epochs of
# 1.28 million images. Here half of the batches have unmixed images.
model = dict(
    data_preprocessor=dict(num_classes=num_classes),
    head=dict(num_classes=num_classes),
    train_cfg=dict(probs=[0.25, 0.25]))

train_dataloader = dict(
    batch_size=32, num_workers=4, dataset=dict(data_root=data_root))
val_dataloader = dict(
    batch_size=32, num_workers=4, dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = dict(topk=(1, ))
test_evaluator = val_evaluator

optim_wrapper = dict(optimizer=dict(lr=5e-4))
auto_scale_lr = dict(base_batch_size=32)
param_scheduler = [dict(_base_.lr_schedule, warmup=5)]
train_cfg = dict(max_epochs=100, val_interval=5)
default_hooks = dict(logger=dict(interval=10))
