"""A Pub/Sub server for one machine: in memory, on loopback, up in half a second.

    python -m local.pubsub --port=8085 --http_port=8086
    export PUBSUB_EMULATOR_HOST=127.0.0.1:8085                                       # Google's libraries
    export CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB=http://127.0.0.1:8086/             # gcloud

Port 0 is one that the kernel chooses. When both ports listen, one line of JSON on standard output says which they are.
What the service can do and this server cannot, such as schemas and snapshots, is refused by name.

The rooms: rules.py (what is taken), filters.py, subscription.py (where each message stands), broker.py (all of them),
methods.py (the API), rpc.py and http.py (how it is called), push.py.
"""

import argparse
import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
import threading


def import_types_alone() -> None:
    """Makes `google.pubsub_v1` a package that imports nothing by itself: its clients would take a second, and only
    its types are needed here. Call it before anything imports that package."""
    import google

    spec = importlib.machinery.PathFinder.find_spec("google.pubsub_v1", google.__path__)
    sys.modules[spec.name] = importlib.util.module_from_spec(spec)


def _push(broker) -> None:
    from local.pubsub.push import Pusher  # its HTTP client is imported while the first requests are answered

    Pusher(broker).run()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="local.pubsub", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8085, help="for gRPC (default: 8085)")
    parser.add_argument("--http_port", type=int, default=8086, help="for JSON over HTTP (default: 8086)")
    arguments = parser.parse_args(argv)
    import_types_alone()
    from local.pubsub import http, rpc
    from local.pubsub.broker import Broker
    from local.pubsub.methods import Methods

    broker = Broker()
    methods = Methods(broker)
    try:
        _server, port = rpc.start(methods, f"{arguments.host}:{arguments.port}")
        _gateway, http_port = http.start(methods, arguments.host, arguments.http_port)
    except (RuntimeError, OSError) as error:
        print(f"local.pubsub: cannot listen on {arguments.host}: {error}", file=sys.stderr)
        return 1
    threading.Thread(target=broker.run_clock, daemon=True).start()
    threading.Thread(target=_push, args=(broker,), daemon=True).start()
    print(json.dumps({"port": port, "http_port": http_port}), flush=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: os._exit(0))  # everything is in memory: there is nothing to close
    signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
