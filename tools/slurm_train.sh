#!/usr/bin/env bash
# Train on a Slurm cluster, one process per GPU:
#
#     bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]
#
# Environment variables (defaults in parentheses):
# GPUS            total number of GPUs (8)
# GPUS_PER_NODE   GPUs per node (8, or GPUS if that is less); 0 runs PROCESSES
#                 (1) CPU processes, PROCESSES_PER_NODE (PROCESSES) per node
# CPUS_PER_TASK   CPUs per process (14 with a GPU, 5 without)
# SRUN_ARGS       additional arguments of srun
# MASTER_PORT     rendezvous port (derived from the job ID)
set -euo pipefail
if [ $# -lt 4 ]; then
  echo "usage: bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]" >&2
  exit 2
fi
partition=$1 job=$2 config=$3 work_dir=$4
shift 4
source "$(dirname "$0")/slurm_resources.sh"
exec srun --partition="$partition" --job-name="$job" "${resources[@]}" \
  "${python[@]}" -u "$here/train.py" "$config" --work-dir "$work_dir" --launcher slurm "$@"
