#!/usr/bin/env bash
# Make or reuse the environment, with compiled mmcv operators, and run the
# tests. Arguments go to pytest: `bash tools/run_tests.sh -m slow`.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
make_environment full
say "Running the tests"
exec "$python" -m pytest "$@"
