#!/usr/bin/env bash
# Train on a Slurm cluster in a job that queues again when its time is up, and
# goes on where it stopped. From the folder that holds tools/:
#
#     sbatch [options of sbatch] tools/slurm_submit.sh CONFIG WORK_DIR [arguments of tools/train.py]
#
# What the job asks for; options given to sbatch replace these lines. Without
# GPUs: --gres=none.
#SBATCH --job-name=ibot
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=8
#SBATCH --gres=gpu:8
#SBATCH --cpus-per-task=5
#SBATCH --time=24:00:00
# What lets it queue again. The training has the 120 seconds to finish an
# iteration (or a validation) and save; Slurm may send the signal up to a
# minute earlier.
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
set -euo pipefail
if [ $# -lt 2 ] || [ -z "${SLURM_JOB_ID:-}" ]; then
  echo "usage: sbatch [options of sbatch] tools/slurm_submit.sh CONFIG WORK_DIR [arguments of tools/train.py]" >&2
  exit 2
fi
if [ ! -f tools/train.py ]; then
  # sbatch runs a copy of this file, which does not know where it was.
  echo "slurm_submit.sh: there is no tools/train.py in $PWD: submit from the folder that holds tools/." >&2
  exit 2
fi
interrupted=75  # exit code of a training that was told to stop, and saved
config=$1 work_dir=$2
shift 2
if [ "${SLURM_RESTART_COUNT:-0}" != 0 ]; then
  # It starts where there is no checkpoint yet; --fresh-start was for the first time.
  args=(--resume)
  for arg in "$@"; do [ "$arg" = --fresh-start ] || args+=("$arg"); done
  set -- "${args[@]}"
fi

# The job's other processes have a minute when one ends: it may be saving, and
# a killed one would hide the exit code of the others.
srun --kill-on-bad-exit=0 --wait=60 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" \
  "${PYTHON:-python}" -u tools/train.py "$config" --work-dir "$work_dir" --launcher slurm "$@" &
step=$!
# Only this script gets the signal before the time limit; srun passes it on.
trap 'signalled=1; kill -USR1 "$step" || :' USR1
# All processes get this one, when the job is canceled, requeued or preempted.
trap 'signalled=1' TERM
signalled=1
while [ "$signalled" = 1 ]; do
  # A signal ends the waiting, but not the training.
  signalled=0 code=0
  wait "$step" || code=$?
done
# A job that is no longer running was canceled, or requeued by somebody else.
if [ "$code" = "$interrupted" ] && [ "$(squeue --noheader --job "$SLURM_JOB_ID" --format %T)" = RUNNING ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
