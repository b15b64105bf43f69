#!/usr/bin/env bash
# Train on a Slurm cluster in a job that is requeued at its time limit and
# resumes where it stopped. Submit from the folder that contains tools/:
#
#     sbatch [options of sbatch] tools/slurm_submit.sh CONFIG WORK_DIR [arguments of tools/train.py]
#
# Resources of the job; options of sbatch override these lines. On CPUs:
# GPUS_PER_NODE=0 sbatch --gres=none --cpus-per-task=5 ...
#SBATCH --job-name=ibot
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=8
#SBATCH --gres=gpu:8
#SBATCH --cpus-per-task=14
#SBATCH --time=24:00:00
# Requeueing. Training has 120 seconds to finish an iteration (or a validation)
# and save; Slurm may send the signal up to a minute earlier.
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
set -euo pipefail
if [ $# -lt 2 ] || [ -z "${SLURM_JOB_ID:-}" ]; then
  echo "usage: sbatch [options of sbatch] tools/slurm_submit.sh CONFIG WORK_DIR [arguments of tools/train.py]" >&2
  exit 2
fi
if [ ! -f tools/train.py ]; then
  # sbatch runs a copy of this file, so its location is unknown.
  echo "slurm_submit.sh: there is no tools/train.py in $PWD: submit from the folder that contains tools/." >&2
  exit 2
fi
interrupted=75  # exit code of a training that saved after a signal
config=$1 work_dir=$2
shift 2
if [ "${SLURM_RESTART_COUNT:-0}" != 0 ]; then
  # --resume starts from scratch without a checkpoint; --fresh-start applies to
  # the first start only.
  args=(--resume)
  for arg in "$@"; do [ "$arg" = --fresh-start ] || args+=("$arg"); done
  set -- "${args[@]}"
fi

python=("${PYTHON:-python}")
[ "${GPUS_PER_NODE:-}" != 0 ] || python=(env CUDA_VISIBLE_DEVICES= "${python[@]}")
# When a process ends, the others get a minute: they may be saving, and killing
# them would hide their exit codes.
srun --kill-on-bad-exit=0 --wait=60 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" \
  "${python[@]}" -u tools/train.py "$config" --work-dir "$work_dir" --launcher slurm "$@" &
step=$!
# The signal before the time limit is sent only to this script; srun forwards it.
trap 'signalled=1; kill -USR1 "$step" || :' USR1
# Sent to all processes when the job is canceled, requeued or preempted.
trap 'signalled=1' TERM
signalled=1
while [ "$signalled" = 1 ]; do
  # A signal interrupts wait, not the training.
  signalled=0 code=0
  wait "$step" || code=$?
done
# A job that is not RUNNING was canceled or has already been requeued.
if [ "$code" = "$interrupted" ] && [ "$(squeue --noheader --job "$SLURM_JOB_ID" --format %T)" = RUNNING ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
