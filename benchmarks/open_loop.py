"""An open-loop HTTP client, a process of its own: a request when it is due, whether earlier ones are answered or not.

    python -m benchmarks.open_loop PLAN.json

The plan: `port`, `rate` (requests a second), `seconds`, `texts`, and `expected`, for each run id ("" where answers name
no run) the prediction of each text. A latency counts from the moment at which the request was due, so that waiting in a
queue counts. Connections are kept alive; a new one is opened when none is free. Prints one line of JSON.
"""

import asyncio
import json
import math
import re
import sys
import time
from collections import Counter
from pathlib import Path

CONNECTIONS = 100
IDLE_SECONDS = 1.0  # gunicorn closes a connection that has been idle for 2
GRACE_SECONDS = 10.0  # for answers after the last request
DIFFERENCE = 2e-6  # between two probabilities, rounded to six digits, of the same model


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least this share of the values do not exceed; infinite for no values."""
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else math.inf


def agrees(found: object, expected: object) -> bool:
    """Whether an answer holds all that is expected; more may be in it."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(agrees(found.get(key), value) for key, value in expected.items())
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(agrees, found, expected))
    if isinstance(expected, float):
        return isinstance(found, int | float) and abs(found - expected) <= DIFFERENCE
    return found == expected


class Client:
    """Sends the plan's requests; what came of them is in `latencies` (seconds), `errors` and `runs`, answers by run."""

    def __init__(self, plan: dict):
        self.plan = plan
        self.requests = [self.request(text) for text in plan["texts"]]
        self.free: list[tuple] = []
        self.room = asyncio.Semaphore(CONNECTIONS)
        self.latencies: list[float] = []
        self.errors: Counter = Counter()
        self.runs: Counter = Counter()

    @staticmethod
    def request(text: str) -> bytes:
        body = json.dumps({"instances": [{"payload": text}]}).encode()
        head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        return head.encode() + b"\r\n\r\n" + body

    async def connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self.free:
            reader, writer, since = self.free.pop()
            if time.monotonic() - since < IDLE_SECONDS and not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self.plan["port"])

    async def ask(self, number: int) -> tuple[int, bytes]:
        """The status and the body of the answer to one request."""
        reader, writer = await self.connection()
        try:
            writer.write(self.requests[number])
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(int(re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)[1]))
        except BaseException:
            writer.close()
            raise
        self.free.append((reader, writer, time.monotonic()))
        return int(head.split(maxsplit=2)[1]), body

    async def send(self, number: int, due: float) -> None:
        number %= len(self.requests)
        try:
            async with self.room:
                status, body = await self.ask(number)
            self.latencies.append(time.monotonic() - due)
            answer = json.loads(body)
        except (OSError, EOFError, ValueError) as error:
            self.errors[type(error).__name__] += 1
            return
        if status != 200:
            self.errors[f"status {status}"] += 1
            return
        run = answer.get("model", {}).get("runId", "")
        self.runs[run] += 1
        if run not in self.plan["expected"]:
            self.errors["unknown run"] += 1
        elif not agrees(answer["predictions"], [self.plan["expected"][run][number]]):
            self.errors["wrong answer"] += 1

    async def run(self) -> dict:
        count, rate = round(self.plan["rate"] * self.plan["seconds"]), self.plan["rate"]
        started, used, tasks = time.monotonic(), time.process_time(), []
        for number in range(count):
            due = started + number / rate
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
            tasks.append(asyncio.create_task(self.send(number, due)))
        busy = (time.process_time() - used) / (time.monotonic() - started)
        answered, late = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
        for task in late:
            task.cancel()
        for task in answered:
            task.result()  # raises what is no error of the server's
        if late:
            self.errors["no answer in time"] += len(late)
        waits = self.latencies + [math.inf] * (count - len(self.latencies))
        found = {f"p{share}_ms": in_ms(percentile(waits, share / 100)) for share in (50, 99)}
        found |= {"max_ms": in_ms(max(waits)), "client_cpu_percent": round(100 * busy)}
        return {"rate": rate, "requests": count, "errors": dict(self.errors)} | found | {"runs": dict(self.runs)}


def in_ms(seconds: float) -> float | None:
    """Milliseconds; None for a request that was never answered, since JSON knows no infinity."""
    return round(1000 * seconds, 2) if math.isfinite(seconds) else None


def main(argv: list[str]) -> int:
    print(json.dumps(asyncio.run(Client(json.loads(Path(argv[0]).read_text("utf-8"))).run())))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
