"""Cuts the stream of lines into batches, each of which becomes one file.

There are no windows, so no line can be too late for one. A batch closes when it is old enough or full, whatever the
watermark says. A batch holds the lines of one folder and one shard.
"""

import os
import socket
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator

import apache_beam as beam
from apache_beam.coders import BytesCoder, TupleCoder, VarIntCoder
from apache_beam.transforms import userstate
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.timestamp import Timestamp

CHUNK_BYTES = 1 << 20  # lines are joined to chunks of at most this size, so that Beam's state is touched once a chunk

# When the line's message was published (microseconds since 1970), and its bytes with the newline.
Line = tuple[int, bytes]
# Lines for the same file: how many, first and last publication (microseconds since 1970), their bytes.
Chunk = tuple[int, int, int, bytes]


@beam.typehints.with_input_types(tuple[str, Line])
@beam.typehints.with_output_types(tuple[str, Chunk])
class JoinLines(beam.DoFn):
    """(folder, Line) → (`<folder> <shard>`, Chunk): joins a bundle's lines to chunks.

    With `num_shards` a chunk goes to one of so many shards. Without, each worker process is a shard, so the number of
    shards grows with the workers that the runner starts. A thread would be too little: a runner hands bundles to
    whichever of its threads has waited longest, so that each of many threads would fill a small file.
    """

    def __init__(self, num_shards: int | None, max_lines: int, max_bytes: int):
        self.num_shards, self.max_lines, self.max_bytes = num_shards, max_lines, min(max_bytes, CHUNK_BYTES)

    def start_bundle(self) -> None:
        self.open: dict[str, list[Line]] = {}
        self.sizes: Counter[str] = Counter()

    def process(self, element: tuple[str, Line]) -> Iterator:
        folder, line = element
        lines = self.open.setdefault(folder, [])
        size = self.sizes[folder] + len(line[1])
        if lines and (size > self.max_bytes or len(lines) >= self.max_lines):
            yield self.close(folder)
            lines, size = self.open.setdefault(folder, []), len(line[1])
        lines.append(line)
        self.sizes[folder] = size

    def finish_bundle(self) -> Iterator:
        for folder in list(self.open):
            key, chunk = self.close(folder)
            yield GlobalWindows.windowed_value((key, chunk), timestamp=Timestamp(micros=chunk[2]))

    def close(self, folder: str) -> tuple[str, Chunk]:
        lines = self.open.pop(folder)
        del self.sizes[folder]
        times = [micros for micros, _ in lines]
        data = b"".join(text for _, text in lines)
        shard = zlib.crc32(data) % self.num_shards if self.num_shards else f"{socket.gethostname()}-{os.getpid()}"
        return f"{folder} {shard}", (len(lines), min(times), max(times), data)


@beam.typehints.with_input_types(tuple[str, Chunk])
@beam.typehints.with_output_types(tuple[str, list[Chunk]])
class Batch(beam.DoFn):
    """(`<folder> <shard>`, Chunk) → the same key with all chunks of a file.

    Beam's own GroupIntoBatches bounds the number of elements and the age, but not the bytes, and a batch of large
    events must fit into a worker's memory. The age is processing time. At the end of the input, or at a drain, every
    open batch closes.
    """

    CHUNKS = userstate.BagStateSpec("chunks", TupleCoder([VarIntCoder(), VarIntCoder(), VarIntCoder(), BytesCoder()]))
    SIZE = userstate.ReadModifyWriteStateSpec("size", TupleCoder([VarIntCoder(), VarIntCoder()]))  # lines, bytes
    AGE = userstate.TimerSpec("age", TimeDomain.REAL_TIME)
    END = userstate.TimerSpec("end", TimeDomain.WATERMARK)

    def __init__(self, max_seconds: float, max_lines: int, max_bytes: int, clock: Callable[[], float] = time.time):
        self.max_seconds, self.max_lines, self.max_bytes = max_seconds, max_lines, max_bytes
        self.clock = clock

    def process(
        self,
        element: tuple[str, Chunk],
        window=beam.DoFn.WindowParam,
        chunks=beam.DoFn.StateParam(CHUNKS),
        size=beam.DoFn.StateParam(SIZE),
        age=beam.DoFn.TimerParam(AGE),
        end=beam.DoFn.TimerParam(END),
    ) -> Iterator:
        key, chunk = element
        count, _, _, data = chunk
        lines, held = size.read() or (0, 0)
        if lines and (lines + count > self.max_lines or held + len(data) > self.max_bytes):
            yield from self.close(key, chunks, size, age)
            lines, held = 0, 0
        if not lines:
            age.set(self.clock() + self.max_seconds)
            end.set(window.end)
        chunks.add(chunk)
        size.write((lines + count, held + len(data)))

    @userstate.on_timer(AGE)
    def on_age(
        self,
        key=beam.DoFn.KeyParam,
        chunks=beam.DoFn.StateParam(CHUNKS),
        size=beam.DoFn.StateParam(SIZE),
        age=beam.DoFn.TimerParam(AGE),
    ) -> Iterator:
        yield from self.close(key, chunks, size, age)

    @userstate.on_timer(END)
    def on_end(
        self,
        key=beam.DoFn.KeyParam,
        chunks=beam.DoFn.StateParam(CHUNKS),
        size=beam.DoFn.StateParam(SIZE),
        age=beam.DoFn.TimerParam(AGE),
    ) -> Iterator:
        yield from self.close(key, chunks, size, age)

    def close(self, key, chunks, size, age) -> Iterator[tuple[str, list[Chunk]]]:
        batch = list(chunks.read())
        chunks.clear()
        size.clear()
        age.clear()
        if batch:
            yield key, batch
