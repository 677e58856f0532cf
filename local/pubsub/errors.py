"""A request that the service would refuse: the status code and a sentence for people."""

import grpc


class Refused(Exception):
    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> Refused:
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(name: str) -> Refused:
    return Refused(grpc.StatusCode.NOT_FOUND, f"Resource not found (resource={name.rsplit('/', 1)[-1]}).")


def already_exists(name: str) -> Refused:
    return Refused(
        grpc.StatusCode.ALREADY_EXISTS, f"Resource already exists in the project (resource={name.rsplit('/', 1)[-1]})."
    )


def not_here(what: str) -> Refused:
    """The service can do it, this server cannot."""
    return Refused(grpc.StatusCode.UNIMPLEMENTED, f"{what} is not supported by the embedded Pub/Sub server")
