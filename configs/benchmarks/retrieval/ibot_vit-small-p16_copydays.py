# python tools/test.py configs/benchmarks/retrieval/ibot_vit-small-p16_copydays.py CHECKPOINT
#
# All copies are looked up among 157 originals. With 10,000 distractors and a
# whitening learned on 20,000 other photographs, as in DINO's paper:
#   --cfg-options test_cfg.bank_dataloader.dataset.distractors=FOLDER
#   test_cfg.bank_dataloader.dataset.whitening=FOLDER
# Published: none for iBOT, none for ViT-S/16. mAP of strong copies, with both
# options, of DINO's ViT-B/16 81.7 (DINO's paper, table 4).
_base_ = [
    '../../_base_/models/frozen_vit-small-p16.py',
    '../../_base_/datasets/copydays.py',
    '../../_base_/evaluation_runtime.py',
]

model = dict(type='ibot_mm.DescriptorExtractor', gem_power=4)
test_cfg = dict(
    protocol=dict(type='ibot_mm.CopyDetection', data_root=_base_.data_root))
