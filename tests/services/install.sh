#!/usr/bin/env bash
# Installs the servers that tests start: PostgreSQL with PostGIS (the system's), and Azurite (beside this file).
# Not interactive; does nothing if all is installed.
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
