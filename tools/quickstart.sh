#!/usr/bin/env bash
# From nothing to a trained network: environment, data, training, result.
# About 10 minutes on 2 cores; no GPU and no compiled mmcv needed.
#
#   SEED=1 bash tools/quickstart.sh    another seed, in a work dir of its own
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
make_environment lite

seed=${SEED:-0}
config=configs/ibot/ibot_vit-quickstart_1xb64_shapes.py
work_dir=work_dirs/quickstart_seed$seed

say "Making the shapes data set in data/shapes"
"$python" tools/dataset_tools/make_shapes.py data/shapes --workers "$(nproc)"

say "Drawing crops and masks as the model sees them"
"$python" tools/visualization/browse_crops.py "$config" --out "$work_dir/crops.png" --count 4

if [ -f "$work_dir/epoch_last.pth" ]; then
  say "The training is complete already; remove $work_dir to train again"
else
  say "Training (about 6 minutes on 2 cores); continues if it was interrupted"
  "$python" tools/train.py "$config" --work-dir "$work_dir" --resume \
    --cfg-options randomness.seed="$seed"
  cp "$(cat "$work_dir/last_checkpoint")" "$work_dir/epoch_last.pth"
fi

say "Result"
"$python" tools/misc/knn_report.py "$config" "$work_dir/epoch_last.pth" \
  --plot "$work_dir/curves.png"
