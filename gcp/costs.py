"""What Brigade costs a month on Google Cloud, from list prices: us-central1, USD, no discount. Nothing is asked of GCP.

    python -m gcp.costs
    python -m gcp.costs --documents_per_month=250000 --document_bytes=4000

prints the tables of docs/costs.md, which says where each price was read and what is assumed. Prices change: put yours
into PRICES.
"""

import argparse
import json
import math
import sys
from typing import NamedTuple

HOURS, SECONDS = 730, 2_628_000  # a month
GIB = 2**30

# USD, for how much, and how many of what the lines below count that is.
PRICES = {
    "pubsub": (40, "TiB", 2**40),
    "pubsub_storage": (0.27, "GiB and 30 days", 30 * GIB),
    "dataflow_vcpu": (0.069, "vCPU-hour", 1),
    "dataflow_memory": (0.003557, "GiB-hour", 1),
    "dataflow_disk": (0.000054, "GiB-hour", 1),
    "streaming_engine": (0.018, "GiB", GIB),
    "e2_vcpu": (0.02181159, "vCPU-hour", 1),
    "e2_memory": (0.00292353, "GiB-hour", 1),
    "disk": (0.04, "GiB-month", HOURS),
    "dataproc": (0.01, "vCPU-hour", 1),
    "storage": (0.02, "GiB-month", GIB),
    "class_a": (0.005, "1,000 operations", 1000),
    "run_vcpu": (0.000024, "vCPU-second", 1),
    "run_memory": (0.0000025, "GiB-second", 1),
    "run_idle": (0.0000025, "vCPU-second or GiB-second", 1),
    "run_requests": (0.40, "million requests", 10**6),
    "scheduler": (0.10, "job", 1),
    "nat_machine": (0.0014, "machine-hour", 1),
    "nat_data": (0.045, "GiB", GIB),
    "address": (0.005, "hour", 1),
    "logging": (0.50, "GiB", GIB),
    "alert_conditions": (0.35, "condition", 1),
    "alert_points": (0.50, "million points", 10**6),
    "registry": (0.10, "GiB-month", GIB),
    "vertex_node": (0.0770564, "node-hour", 1),
}


class Line(NamedTuple):
    """One price times how much; `free` is how many of its units a billing account or project has for nothing."""

    what: str
    price: str
    factors: tuple[tuple[float, str], ...]
    free: float = 0

    def cost(self, free: float = 0) -> float:
        amount, _, size = PRICES[self.price]
        return max(0.0, math.prod(number for number, _ in self.factors) / size - free) * amount

    def row(self) -> str:
        amount, unit, _ = PRICES[self.price]
        factors = " × ".join(f"{number:,.10g} {of}" for number, of in self.factors)
        price = f"{amount:.8f}".rstrip("0").rstrip(".")
        return f"| {self.what} | {factors}, {price} per {unit} | {self.cost():.2f} | {self.cost(self.free):.2f} |"


AT_REST = [
    Line("Cloud Storage: models, code, logs", "storage", ((GIB, "bytes"),), 5),
    Line("Artifact Registry: the functions' images", "registry", ((GIB, "bytes"),), 0.5),
    Line("Cloud Scheduler", "scheduler", ((2, "jobs"),), 3),
    Line("Cloud NAT: its address, as if always held", "address", ((HOURS, "hours"),)),
    Line("alarms: conditions", "alert_conditions", ((16, "conditions"),)),
    Line("alarms: what they look at, twice a minute", "alert_points", ((16, "conditions"), (120 * HOURS, "points"))),
]
WARM = [
    Line("one vCPU", "run_idle", ((SECONDS, "seconds"),)),
    Line("its memory", "run_idle", ((SECONDS, "seconds"), (0.5, "GiB"))),
]
LANDING = [
    Line("an e2-standard-2 in Dataflow: vCPU", "dataflow_vcpu", ((2, "vCPU"), (HOURS, "hours"))),
    Line("its memory", "dataflow_memory", ((8, "GiB"), (HOURS, "hours"))),
    Line("its disk", "dataflow_disk", ((30, "GiB"), (HOURS, "hours"))),
    Line("Cloud NAT for it", "nat_machine", ((HOURS, "hours"),)),
]
# Not in the sums: nothing is deployed unless somebody does it.
VERTEX = [Line("an e2-standard-2 for each deployed version", "vertex_node", ((1, "node"), (HOURS, "hours")))]


def of_documents(count: int, size: int) -> list[Line]:
    """What `count` documents of `size` bytes a month cost beside that, one training of them, and three looks."""
    each, half_hour = (count, "documents"), (0.5, "hours")
    looks, third = (3, "looks"), (0.333, "hours")
    return [
        Line("Pub/Sub: in and out, documents and results", "pubsub", (each, (5 * size + 800, "bytes")), 10 / 1024),
        Line("Pub/Sub: kept by topic and subscription", "pubsub_storage", (each, (2 * size, "bytes"), (7, "days"))),
        Line("Dataflow: Streaming Engine", "streaming_engine", (each, (3 * size, "bytes"))),
        Line("Cloud Storage: landed, and as parquet", "storage", (each, (round((size + 150) * 4 / 3), "bytes"))),
        # A staged object's deletion is a soft one in that bucket (terraform/storage.tf): a week of a month.
        Line("Cloud Storage: staged copies, a week", "storage", (each, (size + 150, "bytes"), (0.23, "months"))),
        Line("Cloud Storage: files of landing", "class_a", ((60 * HOURS, "files"), (3, "operations")), 5),
        Line("classify: requests", "run_requests", (each,), 2),
        Line("classify: vCPU", "run_vcpu", (each, (0.1, "seconds")), 180_000),
        Line("classify: memory", "run_memory", (each, (0.1, "seconds"), (0.5, "GiB")), 360_000),
        Line("Cloud Logging", "logging", (each, (2000, "bytes")), 50),
        Line("training: vCPU", "e2_vcpu", ((4, "vCPU"), half_hour)),
        Line("training: memory", "e2_memory", ((16, "GiB"), half_hour)),
        Line("training: disk", "disk", ((100, "GiB"), half_hour)),
        Line("training: Dataproc's fee", "dataproc", ((4, "vCPU"), half_hour)),
        Line("training: Python packages through Cloud NAT", "nat_data", ((200_000_000, "bytes"),)),
        Line("monitoring: vCPU", "e2_vcpu", (looks, (4, "vCPU"), third)),
        Line("monitoring: memory", "e2_memory", (looks, (16, "GiB"), third)),
        Line("monitoring: disk", "disk", (looks, (100, "GiB"), third)),
        Line("monitoring: Dataproc's fee", "dataproc", (looks, (4, "vCPU"), third)),
        Line("monitoring: Python packages through Cloud NAT", "nat_data", (looks, (200_000_000, "bytes"))),
    ]


def table(title: str, lines: list[Line]) -> list[str]:
    sums = [sum(line.cost() for line in lines), sum(line.cost(line.free) for line in lines)]
    head = [f"| {title} | how much | USD | with free tiers |", "|---|---|---:|---:|"]
    return [*head, *(line.row() for line in lines), f"| **sum** | | **{sums[0]:.2f}** | **{sums[1]:.2f}** |"]


def summary(count: int, size: int) -> list[str]:
    """The README's table."""
    named = {
        "at rest, nothing warm, landing off": AT_REST,
        "at rest, one instance of `classify` warm (the default)": AT_REST + WARM,
        "the same, and landing on one machine": AT_REST + WARM + LANDING,
        f"{count:,} documents beside that": of_documents(count, size),
    }
    head = ["| USD a month | list price | with free tiers |", "|---|---:|---:|"]
    sums = {name: [sum(line.cost(free * line.free) for line in named[name]) for free in (0, 1)] for name in named}
    return head + [f"| {name} | {plain:.2f} | {reduced:.2f} |" for name, (plain, reduced) in sums.items()]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m gcp.costs", description=__doc__.splitlines()[0], allow_abbrev=False
    )
    parser.add_argument("--documents_per_month", type=int, default=1_000_000, metavar="N", help="default: 1000000")
    parser.add_argument("--document_bytes", type=int, default=1500, metavar="N", help="of one event; default: 1500")
    asked = parser.parse_args(argv)
    if (least := min(vars(asked).values())) < 1:
        parser.error(f"expected numbers above 0, found {least}")
    documents = of_documents(asked.documents_per_month, asked.document_bytes)
    titled = {"at rest": AT_REST, "one instance of `classify`": WARM, "landing": LANDING, "documents": documents}
    blocks = [summary(asked.documents_per_month, asked.document_bytes), *map(table, titled, titled.values())]
    blocks.append(table("Vertex AI, from deploy to undeploy", VERTEX))
    print("\n\n".join("\n".join(block) for block in blocks))
    total = sum(line.cost() for lines in titled.values() for line in lines)
    print("\n" + json.dumps({"documents_per_month": asked.documents_per_month, "USD": round(total, 2)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
