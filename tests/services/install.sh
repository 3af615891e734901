#!/usr/bin/env bash
# Installs what the tests start for themselves: PostgreSQL with PostGIS (the system's), and Azurite (beside this file).
# Asks nothing, and does nothing where all is there.
set -euo pipefail
cd "$(dirname "$0")"

if ! ls /usr/lib/postgresql/*/bin/initdb /usr/share/postgresql/*/extension/postgis.control >/dev/null 2>&1; then
  packages=(postgresql postgresql-postgis)
fi
command -v npm >/dev/null || packages+=(nodejs npm)
if [ -n "${packages[*]-}" ]; then
  command -v apt-get >/dev/null || { echo "no apt-get here: install ${packages[*]} by hand" >&2; exit 1; }
  as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  export DEBIAN_FRONTEND=noninteractive
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" apt-get install -qq -y --no-install-recommends "${packages[@]}" >/dev/null
fi

[ -x node_modules/.bin/azurite-blob ] || npm install --no-audit --no-fund --no-package-lock --loglevel=error
