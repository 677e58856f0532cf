"""What Google's services say instead of doing what they are asked, in one line: what was asked, why not, what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError, TransportError
from requests.exceptions import ConnectionError as NoConnection
from requests.exceptions import Timeout

from brigade.errors import CannotGoOn, one_line

UNREACHABLE = (
    exceptions.ServiceUnavailable,
    exceptions.GatewayTimeout,  # DEADLINE_EXCEEDED too
    exceptions.RetryError,
    TransportError,
    NoConnection,
    Timeout,
    ConnectionError,
    TimeoutError,
)
REQUEST = re.compile(r"^[A-Z]+ https?://\S+: ")  # REST's errors begin with it


class Refusal(CannotGoOn):
    """A service did not do what it was asked. The message says what was asked, why not, and what to do."""


@contextmanager
def asking(service: str, name: str, hint: str) -> Iterator[None]:
    """Raises Refusal for whatever the service answers instead of what is asked of the named resource.

    hint: what to do if there is no such resource.
    """
    try:
        yield
    except exceptions.NotFound as error:
        raise Refusal(f"{name} does not exist; {hint}") from error
    except (exceptions.Forbidden, exceptions.Unauthorized) as error:
        may = "SECURITY.md says who may do what"
        raise Refusal(f"{service} does not let this account use {name}: {reason(error)}; {may}") from error
    except UNREACHABLE as error:
        look = "look at the network, and on one machine whether `make up` runs"
        raise Refusal(f"{service} cannot be reached for {name}: {reason(error)}; {look}") from error
    except GoogleAuthError as error:
        login = "gcloud auth application-default login"
        raise Refusal(f"{service} knows no credentials of this account: {reason(error)}; {login}") from error
    except (exceptions.GoogleAPIError, OSError) as error:
        raise Refusal(f"{service}, {name}: {type(error).__name__}: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """What an error says, without the request; of a connection that failed, the system's own words."""
    if isinstance(error, exceptions.RetryError) and error.cause:
        return reason(error.cause)
    if isinstance(error, exceptions.GoogleAPICallError):
        return REQUEST.sub("", one_line(error.message))
    while isinstance(error, OSError) and (inner := error.__cause__ or error.__context__):
        error = inner
    while (inner := error.__cause__ or error.__context__) and not isinstance(error, OSError):
        error = inner
    return one_line(error)[:150]
