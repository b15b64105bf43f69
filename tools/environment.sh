# Sourced by quickstart.sh and run_tests.sh: find or make the environment.
#
# PYTHON          interpreter that makes the environment (default python3)
# VENV            where it is made (default .venv in this project)
# USE_CURRENT_ENV=1   use the active environment as it is, install nothing
# STACK           onedl (default: the maintained forks) or openmmlab (the last
#                 OpenMMLab releases, PyTorch 2.1; Python 3.11, .venv-openmmlab)
# EXPLORER=1      for tests: also Gradio and Playwright (276 MB), without which
#                 the slow tests of the explorer in a browser are skipped

set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
stack=${STACK:-onedl}

say() { printf '\n==> %s\n' "$*"; }
die() { printf '\nerror: %s\n' "$*" >&2; exit 1; }

# Names of the distributions; those of mmengine, mmcv, mmpretrain and mim
# differ by a prefix. mmcv_lite: the one that is mmcv without operators.
case $stack in
  onedl)
    prefix=onedl- mmcv_lite=onedl-mmcv mmdet=onedl-mmdetection mmseg=onedl-mmsegmentation mim=onedl-mim
    reference=$root/requirements/reference.txt venv=${VENV:-$root/.venv} ;;
  openmmlab)
    prefix= mmcv_lite=mmcv-lite mmdet=mmdet mmseg=mmsegmentation mim=openmim
    reference=$root/requirements/reference_openmmlab.txt venv=${VENV:-$root/.venv-openmmlab} ;;
  *) die "STACK is '$stack': it must be onedl or openmmlab." ;;
esac

# install WHAT PIP-ARGUMENT...: pip install, with one sentence when it fails.
install() {
  local what=$1; shift
  say "Installing $what"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@" ||
    die "pip could not install $what: see its message above, and check that PyPI (or your mirror) is reachable."
}

has() { "$python" -c "import importlib.metadata as m; m.version('$1')" 2>/dev/null; }

# Whether the package is there in the version that the reference file pins.
has_pinned() { [ "$("$python" -c "import importlib.metadata as m; print(m.version('$1'))" 2>/dev/null)" = "$(sed -n "s/^$1==//p" "$reference")" ]; }

# Whether mmcv is there with compiled operators.
has_mmcv_ops() { "$python" -c 'import mmcv._ext' 2>/dev/null; }

# build_mmcv PIP-ARGUMENT...: mmcv's wheel in $venv/wheels, whatever is installed.
build_mmcv() {
  say "Building mmcv with compiled operators (5 to 15 minutes on 2 cores the first time, then from pip's cache)"
  rm -rf "$venv/wheels"
  MMCV_WITH_OPS=1 MAX_JOBS=${MAX_JOBS:-$(nproc)} "$python" -m pip wheel --quiet --disable-pip-version-check \
    -c "$reference" --no-build-isolation --no-deps --wheel-dir "$venv/wheels" "$@" ${prefix}mmcv ||
    die "mmcv could not be built: see pip's messages above. The environment is as it was."
}
mmcv_wheel_has_ops() { "$python" -m zipfile --list "$venv"/wheels/*mmcv-*.whl | grep 'mmcv/_ext' >/dev/null; }

# make_environment lite|full: without or with mmcv's compiled operators.
make_environment() {
  if [ "${USE_CURRENT_ENV:-0}" = 1 ]; then
    python=$(command -v "${PYTHON:-python}") || die "no python in the active environment."
    say "Using the active environment as it is: $python"
    PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
    export PYTHONPATH
    "$python" -c 'import ibot_mm' || die "the active environment cannot import ibot_mm: see the message above."
    return
  fi
  local base=${PYTHON:-python3}
  local pythons=$(sed -n 's/^PYTHONS = //p' setup.py)
  command -v "$base" >/dev/null || die "$base was not found: install Python $pythons, or name one with PYTHON=..."
  "$base" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] not in $pythons)" ||
    die "$base is $("$base" -V 2>&1): Python $pythons is needed; name one with PYTHON=..."
  [ "$stack" = onedl ] || "$base" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
    die "$base is $("$base" -V 2>&1): STACK=openmmlab needs Python 3.11; name one with PYTHON=python3.11"
  python=$venv/bin/python
  if [ ! -x "$python" ]; then
    say "Making the environment $venv"
    "$base" -m venv "$venv" || die "$base cannot make virtual environments: install its venv package (Debian: python3-venv)."
  fi
  "$python" -m pip --version >/dev/null 2>&1 || die "$venv is damaged: remove it and run this again."

  # mmcv is built with these, outside of pip's build isolation.
  local build_tools=(setuptools wheel ninja psutil)
  for package in "${build_tools[@]}"; do
    has_pinned "$package" || { install "the build tools" -c "$reference" "${build_tools[@]}"; break; }
  done
  if ! has torch || ! has torchvision; then
    install "PyTorch (several minutes on a slow network)" -c "$reference" torch torchvision numpy
  fi
  if [ "$1" = full ]; then
    if ! has_mmcv_ops; then
      command -v g++ >/dev/null || die "g++ was not found: mmcv's operators are compiled (Debian: apt-get install g++)."
      install "mmcv's dependencies" -c "$reference" opencv-python-headless ${prefix}mmengine
      # Built before the copy without operators goes: if the build fails, what
      # worked before still works.
      build_mmcv
      # pip caches a wheel without operators under the same key.
      mmcv_wheel_has_ops || build_mmcv --no-cache-dir
      mmcv_wheel_has_ops || die "mmcv was built without operators: see pip's messages above."
      [ $mmcv_lite = ${prefix}mmcv ] || "$python" -m pip uninstall --quiet --yes $mmcv_lite
      install "mmcv" -c "$reference" --force-reinstall --no-deps "$venv"/wheels/*mmcv-*.whl
      has_mmcv_ops || die "mmcv was built, but its operators cannot be imported: run $python -c 'import mmcv._ext'"
    fi
  elif ! has ${prefix}mmcv && ! has $mmcv_lite; then
    # Kept out of pip's cache, which would hand it back where operators are wanted.
    MMCV_WITH_OPS=0 install "mmcv without operators" -c "$reference" --no-cache-dir $mmcv_lite
  fi
  local wanted=(${prefix}mmengine ${prefix}mmpretrain tifffile tqdm tensorboard matplotlib)
  local tests=(pytest pytest-xdist hypothesis pycocotools scikit-learn timm ruff import-linter safetensors onnx onnxruntime pyarrow)
  [ "$1" = full ] && wanted+=("${tests[@]}" $mmdet $mmseg $mim ftfy regex)
  local missing=()
  for package in "${wanted[@]}"; do has "$package" || missing+=("$package"); done
  if [ ${#missing[@]} -gt 0 ]; then
    install "${missing[*]}" -c "$reference" "${missing[@]}"
  fi
  if [ "$1" = full ] && [ "$stack" = onedl ] && [ ! -d "$venv/transformers" ]; then
    # Beside the environment, where MMPretrain does not see it.
    install "transformers" --no-deps --target "$venv/transformers" -r requirements/transformers.txt
  fi
  if [ "$1" = full ] && [ "${EXPLORER:-0}" = 1 ] && [ ! -d "$venv/explorer" ]; then
    # Beside it, too: Gradio wants an older Pillow. In a subshell, because the
    # rest does without.
    ( install "Gradio and Playwright" --no-deps --target "$venv/explorer" -r requirements/explorer.txt ) ||
      rm -rf "$venv/explorer"
  fi
  # OpenCV's two distributions share a folder; the one without a display needs
  # no system libraries and must have the last word.
  "$python" -c 'import cv2' 2>/dev/null ||
    install "OpenCV without display libraries" -c "$reference" --force-reinstall --no-deps opencv-python-headless
  # Isolated, or the current folder would pass for an installed package.
  if ! "$python" -I -c 'import ibot_mm, os, sys; sys.exit(os.path.dirname(os.path.dirname(ibot_mm.__file__)) != os.getcwd())' 2>/dev/null; then
    install "ibot_mm itself (editable)" --no-deps --no-build-isolation -e .
  fi
}
