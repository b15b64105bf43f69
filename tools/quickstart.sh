#!/usr/bin/env bash
# From nothing to a trained network: environment, data, training, result.
# About 10 minutes on 2 cores; no GPU and no compiled mmcv needed.
#
#   SEED=1 bash tools/quickstart.sh    another seed, in another work dir
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
make_environment lite

seed=${SEED:-0}
config=configs/examples/ibot_vit-micro-p8_1xb64-20e_shapes.py
work_dir=work_dirs/quickstart_seed$seed

say "Making the shapes data set in data/shapes"
"$python" tools/dataset_tools/make_shapes.py data/shapes --workers "$(nproc)"

say "Drawing crops and masks as the model sees them"
"$python" tools/visualization/browse_crops.py "$config" --out "$work_dir/crops.png" --count 4

say "Training (about 6 minutes on 2 cores); continues where it was interrupted"
"$python" tools/train.py "$config" --work-dir "$work_dir" --resume \
  --cfg-options randomness.seed="$seed"

checkpoint=$(cat "$work_dir/last_checkpoint")
say "Result"
"$python" tools/misc/knn_report.py "$config" "$checkpoint" \
  --plot "$work_dir/curves.png" --cfg-options randomness.seed="$seed"

say "Drawing what the teacher learned, beside the untrained network"
val=data/shapes/imagenet/val
options=("$val" --size 192 --limit 6 --untrained)
"$python" tools/visualization/attention_maps.py "$checkpoint" "${options[@]}" --out "$work_dir/pictures/attention"
"$python" tools/visualization/pca.py "$checkpoint" "${options[@]}" --background --out "$work_dir/pictures/components"
"$python" tools/visualization/correspondence.py "$checkpoint" "${options[@]}" --out "$work_dir/pictures/matches"
"$python" tools/visualization/pattern_layouts.py "$checkpoint" "$val" --size 48 --tokens cls --centered --num 3 \
  --workers "$(nproc)" --out "$work_dir/pictures/patterns"
echo "pictures during training: $work_dir/pictures/strip.png"
