#!/usr/bin/env bash
# Train with several processes on this machine, one per GPU (or, without GPUs,
# on the CPU):
#
#     bash tools/dist_train.sh CONFIG PROCESSES [arguments of tools/train.py]
#
# Several nodes: set NNODES, NODE_RANK and MASTER_ADDR on each. PORT is the
# rendezvous port; by default a free one on a single node, 29500 on several.
set -euo pipefail
if [ $# -lt 2 ]; then
  echo "usage: bash tools/dist_train.sh CONFIG PROCESSES [arguments of tools/train.py]" >&2
  exit 2
fi
config=$1 processes=$2
shift 2
source "$(dirname "$0")/rendezvous.sh"
exec "${PYTHON:-python}" -m torch.distributed.run "${rendezvous[@]}" \
  --nproc_per_node "$processes" "$here/train.py" "$config" --launcher pytorch "$@"
