# Sourced by dist_train.sh and dist_test.sh. Sets `here` (this folder) and
# `rendezvous` (arguments of torchrun).
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
nodes=${NNODES:-1}
if [ "$nodes" = 1 ] && [ -z "${PORT:-}" ]; then
  rendezvous=(--standalone)
else
  rendezvous=(--nnodes "$nodes" --node_rank "${NODE_RANK:-0}"
    --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "${PORT:-29500}")
fi
