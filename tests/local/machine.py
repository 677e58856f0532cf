"""A machine for the tests of set-up: a copy of set-up, and programs that only answer."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

# All that set-up may run besides what it looks for: neither gcloud nor Terraform, npm or Docker is among them.
TOOLS = "awk bash cat chmod cp dirname env grep ls mkdir paste ps rm sed sort touch"

# Python: what is asked of it by -c is done by the one that runs the tests, which takes itself for another version.
PYTHON = """#!/bin/bash
case "$1 $2" in
  --version*) echo "Python {version}" ;;
  "-c "*) exec {python} -I -S -c 'import sys
sys.version_info = tuple(map(int, "{version}".split("."))) + ("final", 0)
sys.modules["ensurepip"] = None if "{venv}" == "False" else sys
exec(sys.argv[1])' "$2" ;;
  "-m venv") mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
  "-m pip") cp {folder}/uv "$(dirname "$0")/uv" ;;
esac
"""
UV = """#!/bin/bash
echo uv "$@" >> {folder}/calls
mkdir -p "$4" "${{4%/cache}}/lib/python3.13/site-packages/pyspark" && touch "$4/much"
! grep no-such-package "${{@: -1}}" || {{ echo "error: no-such-package was not found" >&2; exit 2; }}
"""
JAVA = """#!/bin/bash
printf '    java.home = %s\\n    java.specification.version = {version}\\n' "$(dirname "$(dirname "$0")")" >&2
"""
# apt knows the lists that `update` fetched; installing a package runs what the server has for it.
APT_CACHE = """#!/bin/bash
[ "$LC_ALL" = C ] && candidate=Candidate || candidate=Kandidat
[ ! -e {folder}/lists/$2 ] || printf '%s:\\n  '$candidate': %s\\n' $2 "$(cat {folder}/lists/$2)"
"""
APT_GET = """#!/bin/bash
echo apt-get "$@" >> {folder}/calls
echo "Reading package lists..."
if [ $1 = update ]; then
  [ ! -e {folder}/offline ] || {{ echo "E: Failed to fetch the lists" >&2; exit 100; }}
  cp {folder}/server/* {folder}/lists/
  exit
fi
for package in "${{@:4}}"; do
  [ -e {folder}/lists/$package ] || {{ echo "E: Unable to locate package $package" >&2; exit 100; }}
done
for package in "${{@:4}}"; do
  [ ! -e {folder}/packages/$package ] || . {folder}/packages/$package
done
"""


class Machine:
    """A copy of set-up on a machine of its own: its /etc and /usr, a home, and a PATH with what is put there alone."""

    def __init__(self, folder: Path, project: str = "project"):
        self.folder, self.project, self.system = folder, folder / project, folder / "system"
        for name in ("bin", "home", "lists", "server", "packages", "system/etc", f"{project}/local"):
            (folder / name).mkdir(parents=True)
        for tool in TOOLS.split():
            (folder / "bin" / tool).symlink_to(shutil.which(tool))
        text = (ROOT / "local/machine.sh").read_text()
        assert text.count('\nsystem=""') == 1
        (self.project / "local/machine.sh").write_text(text.replace('\nsystem=""', f'\nsystem="{self.system}"'))
        shutil.copy(ROOT / "local/setup.sh", self.project / "local")
        (self.project / "requirements.txt").write_text("pyspark==4.1.2\n")
        self.environment = {"PATH": str(folder / "bin"), "HOME": str(folder / "home")}
        self.program("uv", UV, folder)
        self.program("id", "#!/bin/bash\necho 1000\n")
        self.program("uname", "#!/bin/bash\necho Linux\n")

    def program(self, name: str, text: str, folder: Path | None = None, **values) -> Path:
        path = (folder or self.folder / "bin") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(folder=self.folder, **values))
        path.chmod(0o755)
        return path

    def python(self, version: str, name: str = "python3", venv: bool = True) -> str:
        return str(self.program(name, PYTHON, version=version, venv=venv, python=sys.executable))

    def java(self, version: str, home: str) -> str:
        """A Java in a folder of this machine; returns its home."""
        self.program("java", JAVA, self.folder / home / "bin", version=version)
        return str(self.folder / home)

    def java_on_path(self, version: str) -> str:
        self.program("java", f'#!/bin/bash\nexec {self.java(version, "somewhere")}/bin/java "$@"\n')
        return str(self.folder / "somewhere")

    def debian(self, *names: str, root: bool = False, **known: str) -> None:
        """`names`: in /etc/os-release. `known`: package, with _ for -, and the version that apt's lists have."""
        (self.system / "etc/os-release").write_text("\n".join(names or ("ID=debian", "VERSION_CODENAME=trixie")))
        self.program("apt-cache", APT_CACHE)
        self.program("apt-get", APT_GET)
        for package, version in known.items():
            (self.folder / "lists" / package.replace("_", "-")).write_text(version)
        if root:
            self.program("id", "#!/bin/bash\necho 0\n")

    def server(self, package: str, version: str, installs: str = ":") -> None:
        """What the package's server offers, and what the package puts on the machine."""
        (self.folder / "server" / package).write_text(version)
        (self.folder / "packages" / package).write_text(installs)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["bash", "local/setup.sh", *arguments],
            cwd=self.project,
            env=self.environment | environment,
            capture_output=True,
            text=True,
        )

    def calls(self, start: str) -> list[str]:
        path = self.folder / "calls"
        return [line for line in path.read_text().splitlines() if line.startswith(start)] if path.exists() else []

    def spark_s_java(self) -> str:
        """JAVA_HOME as Spark's own script sets it, in an environment that has none."""
        home = self.project / ".venv/lib/python3.13/site-packages/pyspark"
        loads = Path(__import__("pyspark").__file__).parent / "bin/load-spark-env.sh"
        command = ["bash", "-c", f'. "{loads}"; echo "${{JAVA_HOME:-none}}"']
        environment = {"SPARK_HOME": str(home), "PATH": os.environ["PATH"]}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout.strip()
