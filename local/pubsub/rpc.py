"""The API over gRPC. A streaming pull keeps a thread of the server for as long as it is open."""

from concurrent.futures import ThreadPoolExecutor

import grpc

from local.pubsub.errors import Refused, not_here
from local.pubsub.methods import METHODS, SUBSCRIBER, Methods, StreamingPullRequest

MAX_THREADS = 500
OPTIONS = [
    ("grpc.max_receive_message_length", 20_000_000),  # the limits of the API are checked where they can be explained
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),  # two servers on one port would share its connections
]


def start(methods: Methods, address: str) -> tuple[grpc.Server, int]:
    """Starts to serve; returns the server and its port. Raises RuntimeError if the address is taken."""
    server = grpc.server(ThreadPoolExecutor(MAX_THREADS), options=OPTIONS)
    server.add_generic_rpc_handlers([_Handlers(methods)])
    port = server.add_insecure_port(address)
    server.start()
    return server, port


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, methods: Methods):
        self.handlers = {
            f"/{method.service}/{name}": _unary(getattr(methods, name), method.request)
            for name, method in METHODS.items()
        }
        self.handlers[f"/{SUBSCRIBER}/StreamingPull"] = _streaming(methods.StreamingPull)

    def service(self, call):
        return self.handlers.get(call.method) or _unary(_refuse(call.method), None)


def _refuse(name: str):
    def refuse(_request):
        raise not_here(name.rsplit("/", 1)[-1])

    return refuse


def _unary(method, request: type | None) -> grpc.RpcMethodHandler:
    def answer(message, context):
        try:
            return method(message)
        except Refused as refused:
            context.abort(refused.code, refused.message)

    return grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=request.FromString if request else None,
        response_serializer=lambda message: message.SerializeToString(),
    )


def _streaming(method) -> grpc.RpcMethodHandler:
    def answer(messages, context):
        try:
            yield from method(messages, context.is_active, context.add_callback)
        except Refused as refused:
            context.abort(refused.code, refused.message)

    return grpc.stream_stream_rpc_method_handler(
        answer,
        request_deserializer=StreamingPullRequest.FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )
