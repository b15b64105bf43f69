#!/usr/bin/env bash
# Train on a Slurm cluster, one process for each GPU:
#
#     bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]
#
# GPUS            in all (8)
# GPUS_PER_NODE   8, or GPUS if that is less; 0 for processes on CPUs:
#                 PROCESSES (1) in all, PROCESSES_PER_NODE (PROCESSES)
# CPUS_PER_TASK   of each process (5)
# SRUN_ARGS       further arguments of srun
# MASTER_PORT     of the rendezvous; by default one that follows from the job
set -euo pipefail
if [ $# -lt 4 ]; then
  echo "usage: bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]" >&2
  exit 2
fi
partition=$1 job=$2 config=$3 work_dir=$4
shift 4
source "$(dirname "$0")/slurm_resources.sh"
exec srun --partition="$partition" --job-name="$job" "${resources[@]}" \
  "${PYTHON:-python}" -u "$here/train.py" "$config" --work-dir "$work_dir" --launcher slurm "$@"
