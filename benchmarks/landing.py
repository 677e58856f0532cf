"""How complete, how fast and how small LAND is, measured on this machine.

    python -m benchmarks.landing burst --messages=10000,100000       every message of a burst lands, once, in few files
    python -m benchmarks.landing burst --messages=10000 --compare    the same, and the usual shape beside it
    python -m benchmarks.landing throughput    events a second, against a plain loop that does the same work
    python -m benchmarks.landing memory        peak memory for 200,000 and for 1,000,000 events

A table for people on standard error, one line of JSON on standard output; nothing stays on the disk. Exit status 1 when
a target is missed. Other work on the machine shows in the seconds: run it when there is none.
"""

import argparse
import json
import sys

from benchmarks.landing_burst import burst
from benchmarks.landing_events import say
from benchmarks.landing_memory import memory
from benchmarks.landing_throughput import throughput
from local import emulators

RUNS = (burst, throughput, memory)


def counts(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    plain = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.landing", description=__doc__, **plain)
    commands = parser.add_subparsers(required=True, metavar="burst | throughput | memory")
    subs = {run: commands.add_parser(run.__name__, description=run.__doc__, **plain) for run in RUNS}
    for run, sub in subs.items():
        sub.set_defaults(run=run)
    subs[burst].add_argument("--messages", type=counts, default=[10_000, 100_000], metavar="N,N")
    subs[burst].add_argument("--window_size", type=float, metavar="MINUTES", help="default: grows with the messages")
    subs[burst].add_argument("--compare", action="store_true", help="the usual shape gets 10,000 messages too")
    subs[throughput].add_argument("--events", type=int, default=200_000, metavar="N")
    subs[throughput].add_argument("--rounds", type=int, default=3, metavar="N")
    subs[memory].add_argument("--events", type=counts, default=[200_000, 1_000_000], metavar="N,N")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    try:
        result, missed = arguments.run(arguments)
    except emulators.Missing as missing:
        say(f"landing: {missing}")
        return 1
    for line in missed:
        say(f"landing: target missed: {line}")
    print(json.dumps(result | {"targets_met": not missed}))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
