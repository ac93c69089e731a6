# shellcheck shell=bash
# What the tests use beside the servers: amqp-publish, pika and schemathesis in a venv of their own, amqplib in a
# node_modules of its own, and a library that shows a process another time. Needs common.sh and packages.sh.

CLIENTS=${CARGO_TARGET_DIR:-$ROOT/target}/test-clients

clients_install() {
  local packages=(amqp-tools chromium chromium-driver faketime)
  have node && have npm || packages+=(nodejs npm)
  # Debian's python3 comes without the part of venv that brings pip.
  python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
  install_packages "${packages[@]}"
  python_client
  node_client
}

# Installed once for each content of the list of requirements.
python_client() {
  local wanted=$LIB/clients/requirements.txt
  cmp -s "$wanted" "$CLIENTS/python/requirements.txt" && return 0
  rm -rf "$CLIENTS/python"
  python3 -m venv "$CLIENTS/python"
  "$CLIENTS/python/bin/python" -m pip install --quiet --requirement "$wanted"
  cp "$wanted" "$CLIENTS/python/"
}

node_client() {
  local wanted=$LIB/clients/package-lock.json
  cmp -s "$wanted" "$CLIENTS/node/package-lock.json" && [[ -d $CLIENTS/node/node_modules ]] && return 0
  rm -rf "$CLIENTS/node"
  mkdir -p "$CLIENTS/node"
  cp "$LIB/clients/package.json" "$wanted" "$CLIENTS/node/"
  (cd "$CLIENTS/node" && npm ci --no-audit --no-fund)
}

clients_export() {
  export WARREN_TEST_PYTHON=$CLIENTS/python/bin/python WARREN_TEST_NODE_MODULES=$CLIENTS/node/node_modules
  local faketime=(/usr/lib/*/faketime/libfaketimeMT.so.1)
  export WARREN_TEST_FAKETIME=${faketime[0]}
}
