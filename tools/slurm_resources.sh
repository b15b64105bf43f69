# Sourced by slurm_train.sh and slurm_test.sh. Sets `here` (this folder) and
# `resources` (arguments of srun).
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
gpus=${GPUS:-8}
gpus_per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
if [ "$gpus_per_node" = 0 ]; then
  # Slurm rejects --gres on nodes without GPUs.
  processes=${PROCESSES:-1}
  resources=(--ntasks="$processes" --ntasks-per-node="${PROCESSES_PER_NODE:-$processes}")
else
  resources=(--gres=gpu:"$gpus_per_node" --ntasks="$gpus" --ntasks-per-node="$gpus_per_node")
fi
read -r -a more <<<"${SRUN_ARGS:-}"
resources+=(--cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 "${more[@]}")
