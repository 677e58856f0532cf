#!/usr/bin/env bash
# Builds bare Debian machines in a temporary folder, clones HEAD into each, and runs there what a person runs first.
#
#   make test-bare                               on Debian 12 and 13: make demo, make test
#   make test-bare SUITES=testing TARGETS=setup  on other releases, other targets
#   make test-bare AS_USER=bookworm              where a user who is not root does the same after root; else on the last
#   make test-bare MIRROR=URL                    with packages from there; else from debootstrap's own mirror
#
# A machine is debootstrap's smallest with git, make, ca-certificates, curl and procps. It goes to the network as this
# one does: the hosts, certificates and proxies, and the settings of apt, pip and uv for it, are this machine's. It runs
# in namespaces of its own, so that no mount and no process stays, whatever happens.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source local/machine.sh

main() {
  is_root || { say "make test-bare builds whole machines and has to be root: sudo make test-bare" && exit 1; }
  need debootstrap unshare
  folder=$(mktemp -d /var/tmp/brigade-bare.XXXXXX) # not in /tmp, which may be in memory
  trap 'rm -rf --one-file-system "$folder"' EXIT
  git -c safe.directory="$PWD" bundle create -q "$folder/head.bundle" HEAD
  unshare --mount --pid --fork --kill-child --mount-proc bash "${BASH_SOURCE[0]}" "$folder" &
  inside=$!
  trap 'kill -KILL "$inside"; sleep 1' INT TERM
  wait "$inside"
}

every_machine() { # in the namespaces: builds and visits them all; false if anything failed
  failed=0 table="machine    user    what     seconds  exit status"$'\n'
  for suite in $SUITES; do
    user=root root=$folder/$suite
    timed "(build)" build || continue
    visit
    [[ " $AS_USER " != *" $suite "* ]] || user=person visit
  done
  printf '\n%s' "$table"
  return "$failed"
}

timed() { # timed WHAT COMMAND…: runs it, and writes the seconds and the exit status into the table
  local status=0 start=$SECONDS
  say "== $suite, $user: $1"
  "${@:2}" || status=$?
  table+=$(printf '%-10s %-7s %-8s %7d  %d' "$suite" "$user" "$1" $((SECONDS - start)) "$status")$'\n'
  [ "$status" = 0 ] || failed=1
  return "$status"
}

build() {
  local scripts=/usr/share/debootstrap/scripts script=""
  [ -e "$scripts/$suite" ] || script=$scripts/sid # a release newer than this debootstrap
  quietly debootstrap --variant=minbase --include=git,make,ca-certificates,curl,procps \
    "$suite" "$root" "$MIRROR" "$script" &&
    mount -t proc proc "$root/proc" &&
    mount -t tmpfs -o mode=1777 shm "$root/dev/shm" &&
    mount -t devpts -o newinstance,ptmxmode=0666 pts "$root/dev/pts" &&
    chroot "$root" useradd --create-home person &&
    cp "$folder/head.bundle" "$root" &&
    connect
}

NETWORK='(https?|all|no)_proxy|(SSL_CERT|REQUESTS_CA|CURL_CA)_.*|(PIP|UV)_.*(CERT|PROXY|TIME|RETR|INDEX|HOST|TLS).*'

connect() { # gives the machine this one's way to the network
  local path
  for path in /etc/hosts /etc/resolv.conf /usr/local/share/ca-certificates /etc/pip.conf /etc/xdg/pip /etc/uv; do
    copy "$path"
  done
  for path in .config/pip .config/uv; do
    copy ~/$path "/root/$path"
    copy ~/$path "/home/person/$path"
  done
  chroot "$root" chown -R person: /home/person
  quietly chroot "$root" update-ca-certificates
  for path in "${SSL_CERT_FILE:-}" "${REQUESTS_CA_BUNDLE:-}" "${CURL_CA_BUNDLE:-}" "${PIP_CERT:-}"; do
    copy "$path"
  done
  apt-config dump 2>/dev/null | grep -E '^Acquire::(https?|Check|Retries)' >"$root/etc/apt/apt.conf.d/99network"
  variables=()
  for path in $(compgen -e | grep -xiE "$NETWORK"); do
    variables+=("$path=${!path}")
  done
}

copy() { # copy PATH [TO]: to the same path in the machine, where this one has it
  local to=$root${2:-$1}
  [ ! -e "$1" ] || { mkdir -p "$(dirname "$to")" && rm -rf "$to" && cp -rL "$1" "$to"; }
}

inside() { # inside COMMAND: in the user's home, with nothing of this environment but the way to the network
  local home=/root path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  [ "$user" = root ] || home=/home/$user
  chroot --userspec="$user:" "$root" env -i HOME="$home" PATH="$path" LANG=C.UTF-8 "${variables[@]}" \
    bash -c "cd && $1" </dev/null
}

visit() { # clones, and runs the targets
  local target
  timed "(clone)" inside \
    "git init -q brigade && cd brigade && git fetch -q /head.bundle HEAD && git checkout -q FETCH_HEAD" || return 0
  for target in $TARGETS; do
    timed "$target" inside "cd brigade && make $target" || true
  done
}

if [ $# = 0 ]; then
  main
else
  folder=$1
  every_machine
fi
