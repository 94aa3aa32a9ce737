"""Errors on the wire: one canonical status, one ``google.rpc.ErrorInfo`` of domain ``duet``, and for a field at fault
one ``BadRequest`` with its path. `to_status` writes them (server), `from_rpc_error` reads them (client).
"""

from __future__ import annotations

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from pipelines.errors import (
    BusyError,
    CheckpointError,
    ConflictError,
    DuetError,
    GateError,
    ImageError,
    ModelError,
    RequestError,
    StoreError,
)

DOMAIN = "duet"

# Every other reason of a RequestError is INVALID_ARGUMENT.
CODES = {
    "ITEM_NOT_FOUND": grpc.StatusCode.NOT_FOUND,
    "SNAPSHOT_NOT_FOUND": grpc.StatusCode.NOT_FOUND,
    "SNAPSHOT_EXPIRED": grpc.StatusCode.FAILED_PRECONDITION,
    "NO_GLOBAL_SPACE": grpc.StatusCode.FAILED_PRECONDITION,
    "NO_PROTOTYPE": grpc.StatusCode.FAILED_PRECONDITION,
    "TOKEN_MISSING": grpc.StatusCode.UNAUTHENTICATED,
    "TOKEN_UNKNOWN": grpc.StatusCode.UNAUTHENTICATED,
    "SCOPE_MISSING": grpc.StatusCode.PERMISSION_DENIED,
}
# A status travels in HTTP/2 headers, of which peers take 8 kB by default. A message is in there three times: with three
# bytes for each of its bytes that is not ASCII, and twice in base64. The path of a field takes 2 kB at most.
_LONGEST_MESSAGE = 600  # bytes of UTF-8


class OverloadError(Exception):
    """More requests wait than the server's limit: come again later."""


class NotReadyError(Exception):
    """No snapshot and its encoder are loaded yet."""


class StoppedError(Exception):
    """The caller has gone, its deadline has passed, or it sends nothing more: nobody waits for an answer."""

    def __init__(self, why: str = "the deadline passed before the answer") -> None:
        super().__init__(why)


class ReplicaLostError(Exception):
    """The replica that worked on a call has died."""


class ServiceError(DuetError):
    """What a server answered in place of a result.

    Attributes:
        code: the canonical status.
        reason: upper-snake, stable; "" if the answer is not from Duet itself (no connection, deadline passed).
        field: path of the request's field at fault; "" where none is.
    """

    def __init__(self, code: grpc.StatusCode, message: str, reason: str = "", field: str = "") -> None:
        super().__init__(message)
        self.code, self.reason, self.field = code, reason, field


def to_status(error: Exception) -> status_pb2.Status:
    """The status of an error.

    Of one that we did not foresee the client learns nothing but that there was one; and of none where the index or
    anything else of the server's lies.
    """
    match error:
        case RequestError(reason=reason, field=field):
            return _status(CODES.get(reason, grpc.StatusCode.INVALID_ARGUMENT), reason, str(error), field)
        case ImageError(code=code):
            return _status(grpc.StatusCode.INVALID_ARGUMENT, f"IMAGE_{code}", str(error), "image")
        case BusyError():
            return _status(grpc.StatusCode.UNAVAILABLE, "INDEX_BUSY", "another process writes the index; retry later")
        case ConflictError():
            message = "another process changed the index meanwhile, and this may be done or not; send it again"
            return _status(grpc.StatusCode.ABORTED, "INDEX_CONFLICT", message)
        case GateError(why=why):
            message = f"nothing is published, and what was published stands: {why}"
            return _status(grpc.StatusCode.FAILED_PRECONDITION, "PUBLICATION_REFUSED", message)
        case CheckpointError():
            message = "an encoder of the index cannot be read; the log says which"
            return _status(grpc.StatusCode.FAILED_PRECONDITION, "CHECKPOINT_UNREADABLE", message)
        case StoreError():
            return _status(grpc.StatusCode.DATA_LOSS, "INDEX_DAMAGED", "the index is damaged; the log says how")
        case ModelError():
            return _status(grpc.StatusCode.INTERNAL, "MODEL_FAILED", str(error))
        case OverloadError():
            status = _status(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", "too many requests wait; retry later")
            status.details.append(_packed(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=1))))
            return status
        case NotReadyError():
            return _status(grpc.StatusCode.UNAVAILABLE, "NOT_READY", "no snapshot is loaded yet; retry later")
        case ReplicaLostError():
            message = "the replica that worked on it has died; whether something was changed is not known"
            return _status(grpc.StatusCode.ABORTED, "REPLICA_LOST", message)
        case StoppedError():
            return _status(grpc.StatusCode.DEADLINE_EXCEEDED, "STOPPED", str(error))
    return _status(grpc.StatusCode.INTERNAL, "INTERNAL", "the server failed; its log says why")


def from_rpc_error(error: grpc.RpcError) -> ServiceError:
    """What a client's call raised, with the reason and field of its status if it has them."""
    status = rpc_status.from_call(error)
    if status is None:
        return ServiceError(error.code(), f"{error.code().name}: {error.details()}")
    return ServiceError(error.code(), status.message, *read_details(status))


def code_of(number: int) -> grpc.StatusCode:
    """The canonical status of a google.rpc.Code."""
    return next((code for code in grpc.StatusCode if code.value[0] == number), grpc.StatusCode.UNKNOWN)


def read_details(status: status_pb2.Status) -> tuple[str, str]:
    """Reason and field of a status; "" for what it does not have."""
    reason, field = "", ""
    for detail in status.details:
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(bad) and bad.field_violations:
            field = bad.field_violations[0].field
    return reason, field


def _status(code: grpc.StatusCode, reason: str, message: str, field: str = "") -> status_pb2.Status:
    message = _shortened(message)
    details = [_packed(error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN))]
    if field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=message)
        details.append(_packed(error_details_pb2.BadRequest(field_violations=[violation])))
    return status_pb2.Status(code=code.value[0], message=message, details=details)


def _shortened(message: str) -> str:
    """The beginning of a message, up to the last character that fits whole."""
    data = message.encode(errors="replace")  # a path may hold what is no character
    if len(data) > _LONGEST_MESSAGE:
        data = data[: _LONGEST_MESSAGE - len("…".encode())] + "…".encode()
    return data.decode(errors="ignore")


def _packed(
    message: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo,
) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
