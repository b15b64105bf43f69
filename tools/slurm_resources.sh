# Sourced by slurm_train.sh and slurm_test.sh. Sets `here` (this folder),
# `resources` (arguments of srun) and `python` (a command).
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
gpus=${GPUS:-8}
gpus_per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
python=("${PYTHON:-python}")
if [ "$gpus_per_node" = 0 ]; then
  # Slurm rejects --gres on nodes without GPUs.
  processes=${PROCESSES:-1} cpus=5
  python=(env CUDA_VISIBLE_DEVICES= "${python[@]}")  # also where a node has GPUs
  resources=(--ntasks="$processes" --ntasks-per-node="${PROCESSES_PER_NODE:-$processes}")
else
  cpus=14  # 12 data workers, the training, the thread that pins memory
  resources=(--gres=gpu:"$gpus_per_node" --ntasks="$gpus" --ntasks-per-node="$gpus_per_node")
fi
read -r -a more <<<"${SRUN_ARGS:-}"
resources+=(--cpus-per-task="${CPUS_PER_TASK:-$cpus}" --kill-on-bad-exit=1 "${more[@]}")
