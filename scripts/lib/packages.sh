# shellcheck shell=bash
# Installs Debian packages without letting them start services: what a package starts would take the
# default ports, and stay behind when the pool is gone.

as_root() {
  if ((EUID == 0)); then "$@"; elif have sudo; then sudo -n "$@"; else return 1; fi
}

# install_packages PACKAGE...: those of them that are missing.
install_packages() {
  local missing=() package
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  have apt-get || { say "missing: ${missing[*]}; there is no apt-get here, install them by hand"; return 1; }
  as_root true || { say "missing: ${missing[*]}; run as root: apt-get install ${missing[*]}"; return 1; }

  local policy=/usr/sbin/policy-rc.d ours='' status=0
  if [[ ! -e $policy ]]; then
    # Debian's own switch: 101 means that no service may be started.
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    ours=1
  fi
  # Somebody else's apt may hold the lock for a while; that is no reason to fail.
  as_root apt-get update -qq -o DPkg::Lock::Timeout=300 || status=$?
  ((status != 0)) || as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}" || status=$?
  [[ -z $ours ]] || as_root rm -f "$policy"
  return "$status"
}
