"""What can go wrong online, as a tree; `problems.py` gives each leaf its HTTP status.

ServiceError
├── InvalidRequestError        a value that is well typed and still cannot be used
├── NotFoundError              an item, a session or a variant that is not there
├── ConflictError              what is asked for does not go with what is served
├── UnauthorizedError          an admin route without the admin key
├── ForbiddenError             an admin route with a wrong key, or while there is none
├── HistoryUnavailableError    the history store does not answer
├── ItemStoreUnavailableError  the store of added items does not answer
├── LeavingError               this worker stops in a moment
└── TeacherUnavailableError    the teacher does not answer this request
    ├── NoTeacherError         none is connected
    ├── TeacherRefusalError    it is there, and busy or unwilling
    └── TeacherLostError       late, failing or gone: it may be left alone for a while

Outside the tree: `StudentError`, which no caller causes; the recommender answers without it.
"""


class ServiceError(Exception):
    """Base of every error that becomes an answer."""

    @property
    def in_full(self) -> str:
        """With the words of its cause, which may name hosts: for the log, not for an answer."""
        return ": ".join(filter(None, (str(self), str(self.__cause__ or ""))))


class InvalidRequestError(ServiceError):
    """A value that is well typed and still cannot be used; names the field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class NotFoundError(ServiceError):
    """An item, a session or a variant that is not there."""


class ConflictError(ServiceError):
    """What is asked for does not go with what is served."""


class UnauthorizedError(ServiceError):
    """An admin route without the admin key."""


class ForbiddenError(ServiceError):
    """An admin route with a wrong key, or while there is none."""


class HistoryUnavailableError(ServiceError):
    """The history store does not answer."""


class ItemStoreUnavailableError(ServiceError):
    """The store of added items does not answer."""


class LeavingError(ServiceError):
    """This worker stops in a moment."""

    def __init__(self) -> None:
        super().__init__("this worker stops in a moment, ask another")


class TeacherUnavailableError(ServiceError):
    """The teacher does not answer this request."""


class NoTeacherError(TeacherUnavailableError):
    """No teacher is connected; says how to connect one."""

    def __init__(self) -> None:
        super().__init__(
            "no teacher is connected: start one with "
            "`python -m training.serve_teacher configs/movielens.toml` "
            "and this service with TEACHER_URL=http://127.0.0.1:8100"
        )


class TeacherRefusalError(TeacherUnavailableError):
    """The teacher is there, and busy or unwilling to answer this request."""


class TeacherLostError(TeacherUnavailableError):
    """The teacher is late, failing or gone."""


class StudentError(Exception):
    """The student could not rank."""
