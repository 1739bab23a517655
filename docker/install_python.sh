#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
# Makes a virtual environment that sees the sourced ROS 2, with torch and the engine's libraries: install_python.sh FOLDER [TORCH_INDEX]
# It runs in the source folder, and installed: ros2 run lang2segtrack install_python.sh FOLDER [TORCH_INDEX]
# NumPy stays on the major version that the distribution's message packages were compiled with.
set -euo pipefail
here="$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)"
[[ -d "$here/requirements" ]] || here="$here/../share/lang2segtrack"
if [[ $# -lt 1 ]]; then
  echo "usage: install_python.sh FOLDER [TORCH_INDEX], such as install_python.sh ~/lang2segtrack_venv https://download.pytorch.org/whl/cpu" >&2
  exit 2
fi
major="$(python3 -c 'import numpy; print(numpy.__version__.split(".")[0])' 2>/dev/null || echo 1)"
python3 -m venv --system-site-packages "$1"
constraint="$(mktemp)"
echo "numpy<$((major + 1))" >"$constraint"
"$1/bin/pip" install --no-cache-dir -c "$constraint" torch --index-url "${2:-https://pypi.org/simple}" --extra-index-url https://pypi.org/simple
"$1/bin/pip" install --no-cache-dir -c "$constraint" -r "$here/requirements/engine.txt"
rm "$constraint"
