"""What would stop the rest: a table of checks, each ok, missing or unknown, with the command that mends it.

    make preflight PROJECT=P            or: python -m gcp.preflight --project=P --region=us-central1

Nothing is changed. What cannot be checked, since Google cannot be reached or an API is off, is said with the reason.
Exit status: 0 nothing would stop it, 1 something would, 2 wrong arguments.
"""

import sys
from collections.abc import Iterable, Sequence

from gcp import google_checks
from gcp.commands import Failed, Terraform, finish, parse, parser, say
from gcp.local_checks import MISSING, OK, UNKNOWN, Check, gcloud_login, local_checks


def checks(project: str, region: str, prefix: str = "") -> list[Check]:
    """All of them, in the order in which one needs the other. What a missing one makes impossible is unknown."""
    found = local_checks()
    network, login = google_checks.reachable(), gcloud_login()
    credentials, own = google_checks.application_default(network.state == OK)
    found += [network, login, own]
    asked = [
        ("project", lambda: google_checks.project(project)),
        ("billing", lambda: google_checks.billing(project)),
        ("APIs", lambda: google_checks.apis(project)),
        ("quota project", lambda: google_checks.quota_project(project, credentials)),
        ("permissions", lambda: google_checks.permissions(project, credentials)),
        ("quota", lambda: google_checks.quota(project, region)),
        ("bucket names", lambda: google_checks.buckets(project, Terraform(project, prefix))),
        ("custom role", lambda: google_checks.role(project, Terraform(project, prefix))),
        ("policies", lambda: google_checks.policies(project)),
    ]
    stopped_by = [check for check in found if check.name in ("gcloud", "network", "gcloud login")]
    for name, look in asked:
        if obstacle := next((check.name for check in stopped_by if check.state == MISSING), ""):
            found.append(Check(name, UNKNOWN, f"not looked at: {obstacle} is missing"))
            continue
        answers = look()
        found += answers
        if name == "project":
            stopped_by += answers
    if network.state == OK:
        return found + google_checks.registry()
    return found + [Check("Terraform's registry", UNKNOWN, "not looked at: network is missing")]


def report(found: Iterable[Check]) -> bool:
    """Shows the table; returns whether nothing would stop the rest."""
    found = list(found)
    width = max(len(check.name) for check in found)
    say()
    for check in found:
        say(f"{check.state:<8} {check.name:<{width}}  {check.found}")
        if check.todo:
            say(f"{'':<8} {'':<{width}}  → {check.todo}")
    missing, unknown = (sum(check.state == state for check in found) for state in (MISSING, UNKNOWN))
    verdict = f"{missing} of {len(found)} would stop it" if missing else "nothing would stop it"
    say()
    say(verdict + (f"; {unknown} could not be checked" if unknown else ""))
    return not missing


def missing_here() -> list[Check]:
    """What is missing on this machine before anything can begin."""
    _, own = google_checks.application_default(online=False)
    found = (*local_checks(shown=False), gcloud_login(shown=False), own)
    return [check for check in found if check.state == MISSING]


def require_tools() -> None:
    """Raises Failed, after a few plain lines, unless the tools are here and somebody is logged in."""
    if lacking := missing_here():
        say_missing(lacking)
        raise Failed("nothing was done: see above what is missing")


def say_missing(lacking: Iterable[Check]) -> None:
    for check in lacking:
        say(f"missing: {check.name}: {check.found}")
        say(f"    {check.todo}")


def without_project(target: str) -> int:
    """What `make TARGET` says when it is not told a project; returns the exit status."""
    lacking = [Check("PROJECT", MISSING, "which Google Cloud project?", f"make {target} PROJECT=my-project")]
    say_missing(lacking + missing_here())
    return 1


def main(argv: Sequence[str] | None = None) -> int:
    flags = parse(parser("gcp.preflight", __doc__), argv)
    if not flags.project:
        return without_project("preflight")

    def work() -> dict:
        found = checks(flags.project, flags.region, flags.prefix)
        ok = report(found)
        return {"ok": ok, "project": flags.project, "checks": [vars(check) for check in found]}

    return finish(work, flags.json, "preflight")


if __name__ == "__main__":
    sys.exit(main())
