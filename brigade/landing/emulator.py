"""Lets the local runner take as much at once from a Pub/Sub emulator as from the service."""

from collections.abc import Callable, Sequence
from typing import Any

import grpc


class LargerPulls(grpc.UnaryUnaryClientInterceptor):
    """Asks for a hundred messages a pull. The local runner asks for ten, and a bundle costs it the same at any size."""

    def intercept_unary_unary(self, proceed: Callable, call: Any, request: Any) -> Any:
        if call.method.endswith("/Pull"):
            request.max_messages = 100
        return proceed(call, request)


def adapt_to_emulator() -> None:
    """Changes gRPC's plain channels, which only emulators use, for the whole process.

    google-cloud-pubsub opens an emulator's channel with gRPC's default limit of 4 MiB an answer. One larger message
    would end the job, again at each start.
    """
    plain = grpc.insecure_channel

    def adapted(target: str, options: Sequence | None = (), **settings: Any) -> grpc.Channel:
        options = [*(options or ()), ("grpc.max_receive_message_length", -1)]
        return grpc.intercept_channel(plain(target, options=options, **settings), LargerPulls())

    grpc.insecure_channel = adapted
