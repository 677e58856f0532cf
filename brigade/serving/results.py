"""Publishes what `classify` has to say, and returns only when Pub/Sub has acknowledged it."""

import functools
from collections.abc import Callable

from brigade.errors import one_line
from brigade.serving.messages import attributes_to_publish
from brigade.serving.requests import Refused

PUBLISH_SECONDS = 30.0


def publish(
    setting: str, topic: str | None, data: bytes, own: dict[str, str], original: dict[str, str], ordering_key: str
) -> None:
    """Publishes a message and waits for the acknowledgement. Raises Refused.

    setting: the variable that names the topic. own, original: attributes; own ones win.
    """
    if topic is None:
        raise Refused(f"{setting}: expected projects/P/topics/T or a topic's name, found ''", 500, setting)
    try:
        message = {"data": data, "attributes": attributes_to_publish(own, original), "ordering_key": ordering_key}
        publisher()(topic=topic, messages=[message])
    except Exception as error:  # whatever the reason, Pub/Sub has to bring the message again
        raise Refused(f"cannot publish to {topic}: {type(error).__name__}: {one_line(error)}", 503, setting) from error


@functools.cache
def publisher() -> Callable:
    """Publishes in one call, without a batch. The client finds PUBSUB_EMULATOR_HOST.

    It is made at the first message: gRPC does not survive the server's fork, and `predict` need not wait 0.8 s for the
    import. The client's own `publish` would take attributes as keyword arguments, and one named "timeout" as its
    timeout.
    """
    from google.api_core.retry import Retry
    from google.cloud import pubsub  # type: ignore[attr-defined]  # a namespace that only some packages type
    from google.pubsub_v1 import PublisherClient

    retry = Retry(initial=0.1, timeout=PUBLISH_SECONDS)
    return functools.partial(PublisherClient.publish, pubsub.PublisherClient(), retry=retry, timeout=PUBLISH_SECONDS)
