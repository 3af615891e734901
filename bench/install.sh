#!/usr/bin/env bash
# Installs what `make bench` needs besides .venv: nginx with its Lua module, which adds latency and counts bytes, and
# litData in an environment of its own, which takes other packages from .venv; `install.sh nginx` installs the server
# alone. Not interactive; installs nothing twice.
set -euo pipefail
cd "$(dirname "$0")/.."

install_nginx() {
  for modules in /usr/lib/nginx/modules /usr/lib64/nginx/modules; do
    if command -v nginx >/dev/null && [ -e "$modules/ngx_http_lua_module.so" ]; then return; fi
  done
  tests/services/apt.sh nginx-light libnginx-mod-http-lua
}

install_litdata() {
  if [ ! -x .venv/bin/python ] || .litdata/bin/python -c 'import litdata' 2>/dev/null; then return; fi
  .venv/bin/python -m venv .litdata
  .venv/bin/python -c 'import site; print(f"import site; site.addsitedir({site.getsitepackages()[0]!r})")' \
    > "$(echo .litdata/lib/python3.*/site-packages)/project.pth"
  .litdata/bin/python -m pip install --quiet --constraint constraints.txt litdata==0.2.76
}

for part in ${*:-nginx litdata}; do "install_$part"; done
