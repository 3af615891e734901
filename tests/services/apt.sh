#!/usr/bin/env bash
# Installs system packages, as root or through sudo; not interactive.
set -euo pipefail

command -v apt-get >/dev/null || { echo "no apt-get here: install $* by hand" >&2; exit 1; }
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -qq -y --no-install-recommends "$@" >/dev/null
