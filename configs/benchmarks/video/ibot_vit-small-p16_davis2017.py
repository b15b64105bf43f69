# python tools/test.py configs/benchmarks/video/ibot_vit-small-p16_davis2017.py CHECKPOINT
#
# 30 videos; masks follow the first frame's by the similarity of patches.
# Masks for the official scorer: --cfg-options test_cfg.out_dir=FOLDER
# Published J&F / J / F (iBOT's paper, table 16): iBOT 61.8 / 60.4 / 63.2,
# DINO 61.8 / 60.2 / 63.4.
_base_ = [
    '../../_base_/models/frozen_vit-small-p16.py',
    '../../_base_/datasets/davis2017.py',
    '../../_base_/evaluation_runtime.py',
]

# The official script has 0.228 for red, not ImageNet's 0.229.
model = dict(data_preprocessor=dict(std=[58.14, 57.12, 57.375]))
test_cfg = dict(
    type='ibot_mm.VideoSegmentationTestLoop',
    protocol=dict(
        type='ibot_mm.LabelPropagation',
        radius=12,
        num_frames=7,
        topk=5,
        temperature=0.1),
    out_dir=None)
