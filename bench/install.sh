#!/usr/bin/env bash
# Installs the server that `make bench` reads from: nginx with its Lua module, which adds latency and counts
# bytes. Not interactive; does nothing if both are installed.
set -euo pipefail

for modules in /usr/lib/nginx/modules /usr/lib64/nginx/modules; do
  if command -v nginx >/dev/null && [ -e "$modules/ngx_http_lua_module.so" ]; then exit 0; fi
done
"$(dirname "$0")/../tests/services/apt.sh" nginx-light libnginx-mod-http-lua
