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
  ./apt.sh "${packages[@]}"
fi

[ -x node_modules/.bin/azurite-blob ] || npm install --no-audit --no-fund --no-package-lock --loglevel=error
