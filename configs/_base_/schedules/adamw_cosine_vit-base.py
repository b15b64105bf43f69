# As adamw_cosine.py, with the five values of ViT-B/16: learning rate 7.5e-4 x
# batch / 256 and 2e-6 at the end, clipping at 0.3, prototypes frozen for 3
# epochs, temperature warm-up of 50. They are those of the release's file of
# arguments, as four independent copies of it have them, and belong together.
# The paper's text has 5e-4 x batch / 256 for every model.
_base_ = 'adamw_cosine.py'

optim_wrapper = dict(
    optimizer=dict(lr=7.5e-4 * 1024 / 256), clip_grad=dict(max_norm=0.3))
lr_schedule = dict(_base_.lr_schedule, eta_min=2e-6)
param_scheduler = [lr_schedule, _base_.weight_decay_schedule]
default_hooks = dict(
    teacher_temperature=dict(warmup_epochs=50),
    freeze_last_layer=dict(epochs=3))
