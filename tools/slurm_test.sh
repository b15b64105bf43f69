#!/usr/bin/env bash
# Evaluate on a Slurm cluster, one process per GPU:
#
#     bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of tools/test.py]
#
# The environment variables are those of slurm_train.sh.
set -euo pipefail
if [ $# -lt 4 ]; then
  echo "usage: bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of tools/test.py]" >&2
  exit 2
fi
partition=$1 job=$2 config=$3 checkpoint=$4
shift 4
source "$(dirname "$0")/slurm_resources.sh"
exec srun --partition="$partition" --job-name="$job" "${resources[@]}" \
  "${python[@]}" -u "$here/test.py" "$config" "$checkpoint" --launcher slurm "$@"
