#!/usr/bin/env bash
# Make or reuse the environment, with compiled mmcv operators, and run the
# tests, two files at a time. Arguments go to pytest: `bash tools/run_tests.sh
# -m slow`; TEST_PROCESSES=0 runs one file after the other.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
make_environment full
parallel=()
if "$python" -c 'import xdist' 2>/dev/null; then
  parallel=(--numprocesses "${TEST_PROCESSES:-2}" --dist loadfile)
  # More threads than cores slow small networks down many times.
  export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
fi
say "Running the tests"
exec "$python" -m pytest "${parallel[@]}" "$@"
