"""What Google's services say instead of doing what they are asked, in one line: what was asked, why not, what to do."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError, TransportError

from brigade.errors import CannotGoOn, one_line

UNREACHABLE = (
    exceptions.ServiceUnavailable,
    exceptions.GatewayTimeout,  # DEADLINE_EXCEEDED too
    exceptions.RetryError,
)
NO_CONNECTION = (ConnectionError, TimeoutError, socket.gaierror)  # at the bottom of what HTTP's library raises
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
    except GoogleAuthError as error:
        if isinstance(error, TransportError):
            raise unreachable(service, name, error) from error
        login = "gcloud auth application-default login"
        raise Refusal(f"{service} knows no credentials of this account: {reason(error)}; {login}") from error
    except (exceptions.GoogleAPIError, OSError) as error:
        if isinstance(error, UNREACHABLE) or isinstance(innermost(error), NO_CONNECTION):
            raise unreachable(service, name, error) from error
        raise Refusal(f"{service}, {name}: {type(error).__name__}: {reason(error)}") from error


def unreachable(service: str, name: str, error: Exception) -> Refusal:
    look = "look at the network, and on one machine whether `make up` runs"
    return Refusal(f"{service} cannot be reached for {name}: {reason(error)}; {look}")


def reason(error: BaseException) -> str:
    """What an error says, without the request; of a connection that failed, the system's own words."""
    if isinstance(error, exceptions.RetryError) and error.cause:
        return reason(error.cause)
    if isinstance(error, exceptions.GoogleAPICallError):
        return REQUEST.sub("", one_line(error.message))
    return one_line(innermost(error))[:150]


def innermost(error: BaseException) -> BaseException:
    """The error that the others were raised for."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error
