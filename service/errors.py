"""The errors of the service; `api/problems.py` maps each direct subclass to its HTTP status.

ServiceError
├── InvalidRequestError        a request's value has the right type but cannot be used
├── NotFoundError              an item, a session or a variant does not exist
├── ConflictError              a change does not fit what is served
├── UnauthorizedError          an admin route was called without the admin key
├── ForbiddenError             an admin route was called with a wrong key, or is closed
├── HistoryUnavailableError    the history store does not answer
├── ItemStoreUnavailableError  the store of added items does not answer
├── LeavingError               this worker is draining
└── TeacherUnavailableError    the teacher does not answer this request
    ├── NoTeacherError         no teacher is connected
    ├── TeacherRefusalError    the teacher answers that it is busy or refuses
    └── TeacherLostError       the teacher is late, fails or cannot be reached

`StudentError` is no ServiceError: no request causes it, and the recommender answers without the
student.
"""


class ServiceError(Exception):
    """Base of every error that becomes an answer."""

    @property
    def in_full(self) -> str:
        """The message with that of its cause, which may name hosts: for the log only."""
        return ": ".join(filter(None, (str(self), str(self.__cause__ or ""))))


class InvalidRequestError(ServiceError):
    """A request's value has the right type but cannot be used; names the field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class NotFoundError(ServiceError):
    """An item, a session or a variant does not exist."""


class ConflictError(ServiceError):
    """A change does not fit what is served."""


class UnauthorizedError(ServiceError):
    """An admin route was called without the admin key."""


class ForbiddenError(ServiceError):
    """An admin route was called with a wrong key, or is closed because there is no key."""


class HistoryUnavailableError(ServiceError):
    """The history store does not answer."""


class ItemStoreUnavailableError(ServiceError):
    """The store of added items does not answer."""


class LeavingError(ServiceError):
    """This worker is draining and will stop."""

    def __init__(self) -> None:
        super().__init__("this worker is about to stop, use another one")


class TeacherUnavailableError(ServiceError):
    """The teacher does not answer this request."""


class NoTeacherError(TeacherUnavailableError):
    """No teacher is connected; the message says how to connect one."""

    def __init__(self) -> None:
        super().__init__(
            "no teacher is connected: start one with "
            "`python -m training.serve_teacher configs/movielens.toml` "
            "and this service with TEACHER_URL=http://127.0.0.1:8100"
        )


class TeacherRefusalError(TeacherUnavailableError):
    """The teacher answers that it is busy or refuses this request."""


class TeacherLostError(TeacherUnavailableError):
    """The teacher is late, fails or cannot be reached."""


class StudentError(Exception):
    """The student could not rank."""
