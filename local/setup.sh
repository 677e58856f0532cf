#!/usr/bin/env bash
# Checks what the machine must have, installs what it may, and creates .venv with the pinned requirements.
#   setup.sh            .venv
#   setup.sh spark35    .venv-spark35: the same with the Spark of Dataproc image 2.3
#   setup.sh airflow    .venv-airflow: Airflow alone, which wants much in other versions
#   setup.sh checkov    .venv-checkov: checkov alone, for the same reason
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
need() { # need WHAT DEBIAN MACOS: remembers what is missing, with the commands that install it
  missing+=("$1
      Debian/Ubuntu: $2
      macOS:         $3")
}

is_root_on_debian() { [ -f /etc/debian_version ] && [ "$(id -u)" = 0 ]; }

apt_install() { # apt_install PACKAGE…: true if they were installed; only as root on Debian, only what apt knows
  is_root_on_debian || return 1
  for package in "$@"; do
    apt-cache policy "$package" 2>/dev/null | grep -q 'Candidate: [0-9]' || apt-get update -qq >/dev/null 2>&1 || true
  done
  echo "installing $*" >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1
}

find_python() {
  for name in python3.12 python3.11 python3 python; do
    if command -v "$name" >/dev/null && "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  return 1
}

java_is_new() {
  local version
  version=$(java -version 2>&1 | sed -nE 's/.* version "([0-9]+).*/\1/p' | head -1)
  [ -n "$version" ] && [ "$version" -ge 17 ]
}

emulator_is_there() {
  local root
  root=$(dirname "$(dirname "$(readlink -f "$(command -v gcloud)")")")
  [ -d "$root/platform" ] || root=$(gcloud info --format='value(installation.sdk_root)' 2>/dev/null)
  compgen -G "$root/platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar" >/dev/null
}

find_python >/dev/null || apt_install python3 python3-venv || true
find_python >/dev/null || need "Python 3.11 or 3.12, with venv" "apt-get install python3 python3-venv" "brew install python@3.12"

java_is_new || apt_install openjdk-17-jre-headless || true
java_is_new || need "Java 17 or newer, for Spark and the Pub/Sub emulator" "apt-get install openjdk-17-jre-headless" \
  "brew install openjdk@17, then put \$(brew --prefix openjdk@17)/bin on PATH"

command -v ps >/dev/null || apt_install procps || need "ps" "apt-get install procps" "part of macOS"

cli="https://cloud.google.com/sdk/docs/install#deb, then: apt-get install google-cloud-cli google-cloud-cli-pubsub-emulator"
if ! command -v gcloud >/dev/null; then
  apt_install google-cloud-cli google-cloud-cli-pubsub-emulator || true
fi
if ! command -v gcloud >/dev/null; then
  need "the Google Cloud CLI with its Pub/Sub emulator" "$cli" \
    "brew install --cask gcloud-cli, then: gcloud components install pubsub-emulator"
elif ! emulator_is_there; then
  # A CLI that came as a package leaves components to the package manager; any other installs its own.
  apt_install google-cloud-cli-pubsub-emulator || gcloud components install pubsub-emulator --quiet >/dev/null 2>&1 || true
  emulator_is_there || need "the Google Cloud CLI's Pub/Sub emulator" "apt-get install google-cloud-cli-pubsub-emulator" \
    "gcloud components install pubsub-emulator"
fi

if [ ${#missing[@]} -gt 0 ]; then
  {
    echo "Missing on this machine:"
    printf '  - %s\n' "${missing[@]}"
    echo "Install it and call make again."
  } >&2
  exit 1
fi

venv=.venv${1:+-$1}
if [ ! -x "$venv/bin/python" ]; then
  echo "creating $venv" >&2
  "$(find_python)" -m venv "$venv"
fi
"$venv/bin/python" -m pip install -q --disable-pip-version-check uv
echo "installing the pinned requirements into $venv; the first time takes a minute" >&2
requirements=requirements.txt change=
case "${1:-}" in
  spark35) change='s/^pyspark==.*/pyspark==3.5.3/; s/^py4j==.*/py4j==0.10.9.7/' ;;
  airflow) requirements=airflow/requirements.txt ;;
  checkov) requirements=terraform/requirements.txt ;;
esac
"$venv/bin/uv" pip install -q --python "$venv/bin/python" -r <(sed "$change" "$requirements")
touch "$venv/installed"
