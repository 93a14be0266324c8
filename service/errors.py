"""The errors of the service; `api/problems.py` maps each direct subclass to its HTTP status.

ServiceError
├── InvalidRequestError        a request's value has the right type but cannot be used
├── NotFoundError              an item, a session or a variant does not exist
├── ConflictError              a change conflicts with what is served, or exceeds a limit
├── UnauthorizedError          a request has no key, or one that is unknown, revoked or expired
├── ForbiddenError             a request's key lacks the scope of the route, or the route is closed
├── TooManyRequestsError       the request's key is over its rate or its daily quota
├── HistoryUnavailableError    the history store does not answer
│   ├── HistoryRefusalError    the history store answers, and refuses to write
│   └── HistoryRejectionError  the history store answers, and can never store this event
├── ItemStoreUnavailableError  the store of added items does not answer
├── LeavingError               this worker is draining
├── OverloadedError            this worker has too much work for this request
└── TeacherUnavailableError    the teacher does not answer this request
    ├── NoTeacherError         no teacher is connected
    ├── TeacherRefusalError    the teacher replies that it is busy or refuses the request
    └── TeacherLostError       the teacher is late, fails or cannot be reached

`StudentError` is not a ServiceError: no request causes it, and the recommender falls back to a
ranking without the student.
"""

import math


class ServiceError(Exception):
    """Base class of the errors that clients receive as an answer with an error status."""

    @property
    def in_full(self) -> str:
        """The error's message and that of its cause, for the log only.

        Clients must not see it, because the cause can name internal hosts.
        """
        return ": ".join(filter(None, (str(self), str(self.__cause__ or ""))))


class InvalidRequestError(ServiceError):
    """A value in a request that has the right type but cannot be used.

    Attributes:
        field: path of the value in the request, such as `requests[3].k`.
        message: what is wrong with the value.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class NotFoundError(ServiceError):
    """A request for an item, a session or a variant that does not exist."""


class ConflictError(ServiceError):
    """A change of items or bundles that conflicts with what is served or exceeds a limit."""


class UnauthorizedError(ServiceError):
    """A request that lacks a needed key, or whose key is unknown, revoked or expired."""


class ForbiddenError(ServiceError):
    """A request whose key lacks the route's scope, or to a route for which no key is set."""


class TooManyRequestsError(ServiceError):
    """A request whose key is over its rate or its daily quota.

    Attributes:
        retry_after_seconds: whole seconds until the key may send again, at least 1.
    """

    def __init__(self, wait_seconds: float) -> None:
        """Makes the error; `wait_seconds`: time until the key may send again, rounded up."""
        self.retry_after_seconds = max(1, math.ceil(wait_seconds))
        super().__init__(f"this key is over its limit: send again in {self.retry_after_seconds} s")


class HistoryUnavailableError(ServiceError):
    """A failure of the history store: it does not answer."""


class HistoryRefusalError(HistoryUnavailableError):
    """A refusal of the history store to write, for example because it is full or read-only."""


class HistoryRejectionError(HistoryUnavailableError):
    """An event that the history store can never store, though it stores others; do not retry."""


class ItemStoreUnavailableError(ServiceError):
    """A failure of the store of added items or of the store of edits: it does not answer."""


class LeavingError(ServiceError):
    """A request to a worker that is draining and will stop."""

    def __init__(self) -> None:
        super().__init__("this worker is draining and will stop: send requests to another one")


class OverloadedError(ServiceError):
    """A request that this worker has too much work to answer in time.

    Attributes:
        retry_after: estimated whole seconds until the waiting work is done.
    """

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__("this worker has too much work: try again later")
        self.retry_after = retry_after


class TeacherUnavailableError(ServiceError):
    """A request that the teacher does not answer."""


class NoTeacherError(TeacherUnavailableError):
    """A request for the teacher while none is connected; the message says how to connect one."""

    def __init__(self) -> None:
        super().__init__(
            "no teacher is connected: start one with `distilled-recommender serve-teacher CONFIG`, "
            "where CONFIG is your experiment's file, and this service with "
            "TEACHER_URL=http://127.0.0.1:8100"
        )


class TeacherRefusalError(TeacherUnavailableError):
    """A request that the teacher refuses, or for which the teacher replies that it is busy."""


class TeacherLostError(TeacherUnavailableError):
    """A failure of the teacher: it is late, ends with an error or cannot be reached."""


class StudentError(Exception):
    """A graph of the student that fails in onnxruntime or that the bundle lacks."""
