#!/usr/bin/env bash
# Installs what `make bench` reads from: nginx with its Lua module (the system's), which waits and counts as it is told.
# Asks nothing, and does nothing where both are there.
set -euo pipefail

for modules in /usr/lib/nginx/modules /usr/lib64/nginx/modules; do
  if command -v nginx >/dev/null && [ -e "$modules/ngx_http_lua_module.so" ]; then exit 0; fi
done
packages=(nginx-light libnginx-mod-http-lua)
command -v apt-get >/dev/null || { echo "no apt-get here: install ${packages[*]} by hand" >&2; exit 1; }
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -qq -y --no-install-recommends "${packages[@]}" >/dev/null
