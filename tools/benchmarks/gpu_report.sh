#!/usr/bin/env bash
# Measure training on one GPU and write Markdown and JSON into a folder:
#
#     bash tools/benchmarks/gpu_report.sh [arguments of gpu_report.py]
#
# It stops after 9 minutes (--minutes); the same command continues. On one H100
# the rows are meant to take 25 minutes in all.
#
# Environment variables (defaults in parentheses):
# PYTHON   interpreter with PyTorch (python, or python3)
# OUT      folder of the results (gpu_report)
# WHEELS   folder of wheels to install first, where no registry can be reached.
#          A source package of mmcv beside its wheel is compiled before the
#          detector runs, with all cores, in some minutes.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${PYTHON:-$(command -v python || command -v python3)}
if [ -n "${WHEELS:-}" ]; then
  export SITE=${TMPDIR:-/tmp}/gpu_report_site
  if [ ! -d "$SITE" ]; then
    "$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$SITE.part" "$WHEELS"/*.whl
    mv "$SITE.part" "$SITE"
  fi
  export PYTHONPATH="$SITE${PYTHONPATH:+:$PYTHONPATH}"
fi
export PYTHONPATH="$here/../..${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" "$here/gpu_report.py" --out "${OUT:-gpu_report}" "$@"
