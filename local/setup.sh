#!/usr/bin/env bash
# Finds what the machine must have, installs what it may, and creates .venv with the pinned requirements and this project.
#   setup.sh              .venv
#   setup.sh spark35      .venv-spark35: the same with the Spark of Dataproc image 2.3
#   setup.sh airflow      .venv-airflow: Airflow alone, which wants much in other versions
#   setup.sh tracking     .venv-tracking: the MLflow server, for the same reason
#   setup.sh checkov      .venv-checkov: checkov alone, for the same reason
#   setup.sh need TOOL…   nothing: prints a line for each missing tool and fails
set -euo pipefail
cd "$(dirname "$0")/.."
source local/machine.sh

if [ "${1:-}" = need ]; then
  need "${@:2}"
  exit
fi
check_machine

venv=.venv${1:+-$1}
requirements=requirements.txt change="" project="--editable ." # brigade/ is used where it lies
case "${1:-}" in
  spark35) change='s/^pyspark==.*/pyspark==3.5.3/; s/^py4j==.*/py4j==0.10.9.7/' ;;
  airflow) requirements=airflow/requirements.txt project="" ;;
  tracking) requirements=tracking/requirements.txt project="" ;;
  checkov) requirements=terraform/requirements.txt project="" ;;
esac

if ! "$venv/bin/python" -c '' 2>/dev/null; then
  say "creating $venv with $(find_python)"
  quietly "$(find_python)" -m venv --clear "$venv"
fi

# The cache of downloads is larger than the installed packages. It is removed at the end.
cache=$venv/cache
trap 'rm -rf "$cache"' EXIT
say "installing the pinned requirements into $venv; the first time takes a minute"
quietly "$venv/bin/python" -m pip install --no-cache-dir --disable-pip-version-check uv
# shellcheck disable=SC2086 # two words, or none
quietly "$venv/bin/uv" pip install --cache-dir "$cache" --python "$venv/bin/python" $project \
  -r <(sed "$change" "$requirements")

# Spark reads a machine's settings from spark-env.sh: Spark of this environment uses this Java.
java=$(find_java)
for spark in "$PWD/$venv"/lib/python3.*/site-packages/pyspark; do
  [ -d "$spark" ] || continue
  if [[ $spark = *[[:space:]]* ]]; then # Spark's script that reads it does not quote its path
    say "Spark cannot be told its Java below a folder with a space in its name: export JAVA_HOME=$(printf %q "$java")"
  else
    mkdir -p "$spark/conf"
    printf '[ ! -x %q/bin/java ] || export JAVA_HOME=%q\n' "$java" "$java" >"$spark/conf/spark-env.sh"
  fi
done
# Spark puts archives that hold nothing new onto its workers' path, and Python 3.11 reads their directories again for
# each task, a fifth of a second.
for packages in "$venv"/lib/python3.*/site-packages; do
  echo 'import sys; sys.path[:] = [one for one in sys.path if "/pyspark/jars/" not in one and "/pyspark/python/lib/" not in one]' \
    >"$packages/spark_workers.pth"
done
touch "$venv/installed"
