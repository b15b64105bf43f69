# bash tools/dist_train.sh configs/benchmarks/classification/finetune/ibot_vit-small-p16_finetune-8xb128-200e_in1k.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x batch 128 = 1024 images per step. 1,281,167 // 1024 = 1251
# iterations per epoch, 250,200 in all.
# Published (paper, table 11): fine-tuning 82.3.
_base_ = [
    '../../../_base_/models/finetune_vit-small-p16.py',
    '../../../_base_/datasets/imagenet_finetune.py',
    '../../../_base_/schedules/finetune_layer_decay.py',
    '../../../_base_/evaluation_runtime.py',
]
