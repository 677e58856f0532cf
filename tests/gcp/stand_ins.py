"""Programs that answer in place of `gcloud` and others where Google itself would be needed, and that write down how
they were called; and Terraform itself, with built-in resources in place of Google's."""

import json
import shutil
import sys
from pathlib import Path

PROGRAM = """#!{python}
import json, os, re, sys
from pathlib import Path

folder = Path({folder!r})
line = " ".join([{name!r}, *sys.argv[1:]])
with open(folder / "calls", "a") as calls:
    calls.write(line + "\\n")
answers = json.loads((folder / "answers.json").read_text())
for pattern, given in answers:
    if re.search(pattern, line):
        seen = sum(bool(re.search(pattern, one)) for one in (folder / "calls").read_text().splitlines())
        out, err, status = given[min(seen, len(given)) - 1]
        sys.stdout.write(out)
        sys.stderr.write(err)
        sys.exit(status)
sys.exit("no answer for: " + line)
"""

# Built-in resources have no attribute `name`, and not Google's types: what Terraform says of its state, and what it is
# told to remove, is rewritten.
TERRAFORM = """#!{python}
import json, os, re, subprocess, sys
from pathlib import Path

with open(Path({folder!r}) / "calls", "a") as calls:
    workspace = os.environ.get("TF_WORKSPACE", "")
    calls.write(" ".join(["terraform", *(word for word in sys.argv[1:] if "-chdir" not in word), workspace]) + "\\n")
types = "google_(storage_bucket|project_iam_custom_role|project_iam_member|project_service)[.]"
arguments = [re.sub(types, "terraform_data.", word) for word in sys.argv[1:]]
command = [{terraform!r}, *arguments]
if "pull" not in arguments:
    os.execv(command[0], command)
done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
state = json.loads(done.stdout or "{{}}")
for resource in state.get("resources", []):
    if resource["name"] in ("input", "output", "code", "logs"):
        resource["type"] = "google_storage_bucket"
        for instance in resource["instances"]:
            instance["attributes"]["name"] = instance["attributes"]["input"]["value"]
    if resource["name"] == "role":
        resource["type"] = "google_project_iam_custom_role"
    if resource["name"] == "grant":
        resource["type"] = "google_project_iam_member"
    if resource["name"] == "switched_on":
        resource["type"] = "google_project_service"
print(json.dumps(state) if state else "")
sys.exit(done.returncode)
"""

# The shape of terraform/: APIs that the buckets need, a bucket that goes, what hangs on buckets that stay, and a role.
CONFIGURATION = """
variable "project_id" { type = string }
variable "region" { type = string }
resource "terraform_data" "needed" {
  for_each = toset(["storage", "pubsub"])
  input    = each.key
}
resource "terraform_data" "input" {
  input      = "${var.project_id}-ml-input"
  depends_on = [terraform_data.needed]
}
resource "terraform_data" "output" {
  input      = "${var.project_id}-ml-output"
  depends_on = [terraform_data.needed]
}
resource "terraform_data" "logs" {
  input      = "${var.project_id}-ml-logs"
  depends_on = [terraform_data.needed]
}
resource "terraform_data" "code" {
  input      = "${var.project_id}-ml-code"
  depends_on = [terraform_data.needed]
}
resource "terraform_data" "may_read" {
  for_each = toset(["spark", "landing"])
  input    = "${each.key} ${terraform_data.input.output}"
}
resource "terraform_data" "role" {
  input      = "brigadeRetrain"
  depends_on = [terraform_data.needed]
}
resource "terraform_data" "may_start" { input = terraform_data.role.output }
resource "terraform_data" "function" { input = terraform_data.code.output }
resource "terraform_data" "counted" {
  count      = 2
  input      = "topic"
  depends_on = [terraform_data.needed]
}
output "project_id" { value = var.project_id }
output "region" { value = var.region }
output "input_bucket" { value = terraform_data.input.output }
"""


class StandIns:
    """The programs in a folder that is first on PATH."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "bin").mkdir(parents=True)
        (folder / "calls").touch()
        self.answers: list = []
        self.answer(r"^gcloud version", json.dumps({"Google Cloud SDK": "528.0.0"}))

    def program(self, name: str, text: str = PROGRAM, **more: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(text.format(python=sys.executable, folder=str(self.folder), name=name, **more))
        path.chmod(0o755)

    def terraform(self) -> None:
        """The real one, on PATH before this; its version is told as it is."""
        self.program("terraform", TERRAFORM, terraform=shutil.which("terraform"))

    def answer(self, pattern: str, *given: str | tuple[str, str, int]) -> None:
        """What a call is answered that the pattern matches: the first time, the second, …, and the last one ever after.
        A text, or standard output, standard error and the exit status. The latest answer for a pattern counts."""
        self.answers.insert(0, (pattern, [(one, "", 0) if isinstance(one, str) else one for one in given]))
        (self.folder / "answers.json").write_text(json.dumps(self.answers))

    def calls(self, beginning: str = "") -> list[str]:
        """How they were called since the last time this was asked for everything, in order."""
        lines = (self.folder / "calls").read_text().splitlines()
        return [line for line in lines if line.startswith(beginning)]

    def forget(self) -> None:
        (self.folder / "calls").write_text("")
