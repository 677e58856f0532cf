"""The graph of landing: messages in, paths of written files out. Every message is in exactly one file.

    read ─► route ─► join lines ─► batch ─► stage file ─► commit (reshuffle) ─► name file

The reshuffle commits what is in a file. Only a committed file gets its visible name, so a retry on either side of the
reshuffle neither loses a line nor writes one twice.
"""

import time
from collections.abc import Callable
from typing import Any

import apache_beam as beam
from apache_beam.transforms.util import ReshufflePerKey

from brigade.events.contract import DOCUMENTS, Contract
from brigade.events.event import MAX_EVENT_BYTES
from brigade.landing.batches import Batch, JoinLines
from brigade.landing.files import Files, NameFile, StageFile
from brigade.landing.route import Route


def build(
    pipeline: beam.Pipeline,
    messages: beam.PTransform,
    *,
    output_path: str,
    dead_letter_path: str,
    max_event_bytes: int = MAX_EVENT_BYTES,
    contract: Contract = DOCUMENTS,
    **shape: Any,
) -> beam.PCollection:
    """Adds the graph to the pipeline; returns the paths of the written files.

    `messages` yields PubsubMessage. contract: what an event must hold. `shape` says how files are cut, as the arguments
    of WriteDatedFiles.
    """
    return (
        pipeline
        | "Read messages" >> messages
        | "Route" >> beam.ParDo(Route(output_path, dead_letter_path, max_event_bytes, contract))
        | "Write dated files" >> WriteDatedFiles(dead_letter_path, **shape)
    )


class WriteDatedFiles(beam.PTransform):
    """(folder, Line) → the paths of the written files. Each line is in one file of its folder.

    A file closes `max_seconds` after its first line, or before it passes `max_lines` or `max_bytes`.
    """

    def __init__(
        self,
        dead_letter_path: str,
        *,
        max_seconds: float,
        max_lines: int,
        max_bytes: int,
        num_shards: int | None = None,
        compress: bool = False,
        files: Files | None = None,
        clock: Callable[[], float] = time.time,
    ):
        super().__init__()
        self.join = JoinLines(num_shards, max_lines, max_bytes)
        self.batch = Batch(max_seconds, max_lines, max_bytes, clock)
        files = files or Files()
        self.stage, self.name = StageFile(compress, files), NameFile(dead_letter_path, files)

    def expand(self, lines: beam.PCollection) -> beam.PCollection:
        return (
            lines
            | "Join lines" >> beam.ParDo(self.join)
            | "Batch" >> beam.ParDo(self.batch)
            | "Stage file" >> beam.ParDo(self.stage)
            # From here on the content of a file is settled: a retry behind this step is for the same file.
            | "Commit" >> ReshufflePerKey()
            | "Name file" >> beam.ParDo(self.name)
        )
