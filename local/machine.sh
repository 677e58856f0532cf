# shellcheck shell=bash
# What the machine must have: finds it, and knows the packages and commands that install it here.
# Sourced by setup.sh, and by the tests.

system="" # where /etc, /usr, /opt and /Library lie; the tests have their own

say() { printf '%s\n' "$*" >&2; }

quietly() { # quietly COMMAND…: what it says is shown if it fails
  local said status=0
  said=$("$@" 2>&1) || status=$?
  [ "$status" = 0 ] || say "$said"
  return "$status"
}

is_root() { [ "$(id -u)" = 0 ]; }

platform() { # prints debian, fedora, macos or other; Ubuntu is like Debian
  [ "$(uname)" != Darwin ] || { echo macos && return; }
  # shellcheck source=/dev/null
  case " $(. "$system/etc/os-release" 2>/dev/null && echo "${ID:-} ${ID_LIKE:-}") " in
    *" debian "* | *" ubuntu "*) echo debian ;;
    *" fedora "*) echo fedora ;;
    *) echo other ;;
  esac
}

# ----------------------------------------------------------------------------------------------------- what is there

find_python() { # prints the first Python that fits
  local name fits='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))'
  for name in python3 python3.13 python3.12 python3.11 python3.14 python; do
    if "$name" -c "$fits" 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  return 1
}

javas() { # prints VERSION HOME of each Java that is there, the caller's own first
  local java settings
  for java in "${JAVA_HOME:+$JAVA_HOME/bin/java}" "$(command -v java)" "$system"/usr/lib/jvm/*/bin/java \
    "$system"/Library/Java/JavaVirtualMachines/*/Contents/Home/bin/java \
    "$system"/{opt/homebrew,usr/local}/opt/openjdk@{17,21}/bin/java ~/.sdkman/candidates/java/*/bin/java; do
    if [ -x "$java" ] && settings=$("$java" -XshowSettings:properties -version 2>&1); then
      awk -F ' = ' '/^ *java.specification.version =/ {version = $2} /^ *java.home =/ {home = $2}
        END {print version, home}' <<<"$settings"
    fi
  done
}

find_java() { # prints the home of the first Java that fits; from 23 on Spark ends with "getSubject is not supported"
  local version home
  while read -r version home; do
    case $version in 17 | 18 | 19 | 20 | 21 | 22) echo "$home" && return ;; esac
  done < <(javas)
  return 1
}

# -------------------------------------------------------------------------------------------------- what is missing

candidate() { # prints the version of a Debian package that apt would install
  LC_ALL=C apt-cache policy "$1" 2>/dev/null | sed -nE 's/^ *Candidate: ([0-9].*)/\1/p'
}

debian_python() { # prints the packages, or nothing where the release has no Python that fits
  local name
  [ -n "$(candidate python3)" ] || { echo python3 python3-venv && return; } # apt knows nothing yet
  for name in python3 python3.13 python3.12 python3.11; do
    case $(candidate "$name") in 3.1[1-4][!0-9]*) echo "$name $name-venv" && return ;; esac
  done
}

debian_java() { # prints the package, or nothing where the release has no Java that fits
  local name
  for name in openjdk-17-jre-headless openjdk-21-jre-headless; do
    [ -z "$(candidate "$name")" ] || { echo "$name" && return; }
  done
  [ -z "$(candidate default-jre-headless)" ] || return 0
  if grep -qs =bookworm "$system/etc/os-release"; then echo openjdk-17-jre-headless; else echo "$name"; fi
}

lacks() { # lacks WHAT DEBIAN FEDORA MACOS URL: remembers it with its packages' names here; without any, with the URL
  local names=""
  case $(platform) in debian) names=$2 ;; fedora) names=$3 ;; macos) names=$4 ;; esac
  missing+="  - $1"$([ -n "$names" ] || echo "; no package here has it, see $5")$'\n'
  packages+=${names:+ $names}
}

look() { # fills `missing`, a line for each, and `packages`
  missing="" packages=""
  find_python >/dev/null ||
    lacks "Python 3.11 to 3.14 with venv and ensurepip, found $(python3 --version 2>/dev/null || echo none)" \
      "$(debian_python)" python3.13 python@3.13 https://www.python.org/downloads
  find_java >/dev/null ||
    lacks "Java 17 to 22 for Spark, found $(javas | sort -u | sed 's/ / in /' | paste -sd , - | grep . || echo none)" \
      "$(debian_java)" java-21-openjdk-headless openjdk@21 "https://adoptium.net/temurin/releases?version=21"
  command -v ps >/dev/null || lacks "ps, found none" procps procps-ng "" https://gitlab.com/procps-ng/procps
}

install_missing() { # as root on Debian or Ubuntu
  say "asking the package servers what they have"
  quietly apt-get update || say "apt-get update failed: going on with what was known before"
  look # the names may be others now
  [ -n "$packages" ] || return 0
  say "installing$packages; this takes a minute"
  # shellcheck disable=SC2086 # a list of names
  quietly env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages || return 0
  look
}

check_machine() { # installs what is missing where it may; else says what is, and how it is installed
  local sudo
  look
  if [ -n "$missing" ] && [ "$(platform)" = debian ] && is_root; then install_missing; fi
  [ -n "$missing" ] || return 0
  say "Missing on this machine:"$'\n'"${missing%$'\n'}"
  sudo=$(is_root || echo "sudo ")
  case $(platform)${packages:+ packages} in
    "debian packages") say "To install: ${sudo}apt-get update && ${sudo}apt-get install -y$packages" ;;
    "fedora packages") say "To install: ${sudo}dnf install -y$packages" ;;
    "macos packages") say "To install: brew install$packages" ;;
  esac
  return 1
}

# ------------------------------------------------------------------------------- what single targets of make ask for

HASHICORP="https://apt.releases.hashicorp.com"

need() { # need TOOL…: a line for each that is not there, with the command that installs it
  local tool how sudo status=0
  sudo=$(is_root || echo "sudo ")
  for tool in "$@"; do
    command -v "$tool" >/dev/null && continue
    case "$tool on $(platform)" in
      "gcloud on macos") how="brew install --cask gcloud-cli" ;;
      "gcloud on "*) how="curl https://sdk.cloud.google.com | bash && exec -l \$SHELL" ;;
      "terraform on macos") how="brew install hashicorp/tap/terraform" ;;
      "terraform on debian")
        how="curl $HASHICORP/gpg | ${sudo}tee /etc/apt/keyrings/hashicorp.asc && . /etc/os-release && echo \"deb"
        how+=" [signed-by=/etc/apt/keyrings/hashicorp.asc] $HASHICORP \$VERSION_CODENAME main\" | ${sudo}tee"
        how+=" /etc/apt/sources.list.d/hashicorp.list && ${sudo}apt-get update && ${sudo}apt-get install -y terraform"
        ;;
      "terraform on fedora")
        how="${sudo}dnf config-manager addrepo --from-repofile=https://rpm.releases.hashicorp.com/fedora/hashicorp.repo"
        how+=" && ${sudo}dnf install -y terraform"
        ;;
      "debootstrap on debian") how="${sudo}apt-get install -y debootstrap" ;;
      "debootstrap on fedora") how="${sudo}dnf install -y debootstrap" ;;
      "debootstrap on "*) how="https://wiki.debian.org/Debootstrap" ;;
      *) how="https://developer.hashicorp.com/terraform/install" ;;
    esac
    say "$tool is not on PATH, and this needs it. To install: $how"
    status=1
  done
  return "$status"
}
