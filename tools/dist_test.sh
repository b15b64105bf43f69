#!/usr/bin/env bash
# Evaluate with several processes on this machine, one per GPU (or, without
# GPUs, on the CPU):
#
#     bash tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [arguments of tools/test.py]
#
# Several nodes: set NNODES, NODE_RANK and MASTER_ADDR on each. PORT is the
# rendezvous port; by default a free one on a single node, 29500 on several.
set -euo pipefail
if [ $# -lt 3 ]; then
  echo "usage: bash tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [arguments of tools/test.py]" >&2
  exit 2
fi
config=$1 checkpoint=$2 processes=$3
shift 3
source "$(dirname "$0")/rendezvous.sh"
exec "${PYTHON:-python}" -m torch.distributed.run "${rendezvous[@]}" \
  --nproc_per_node "$processes" "$here/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
