"""What counts as a failure of a backend, and what as a success."""

import pytest

from service.circuit_breaker import CircuitBreaker
from service.errors import HistoryRefusalError, HistoryUnavailableError
from service.stores.event_log.protocol import NotLoggedError

pytestmark = pytest.mark.anyio

LOST = HistoryUnavailableError("late")
REFUSED = HistoryRefusalError("full")
LEFT_OUT = NotLoggedError([])


@pytest.fixture
def breaker() -> CircuitBreaker:
    """A breaker that opens at the second failure in a row."""
    return CircuitBreaker(
        "the store",
        HistoryUnavailableError,
        answers=(HistoryRefusalError, NotLoggedError),
        max_failures=2,
        pause_seconds=60,
    )


async def end_with(breaker: CircuitBreaker, *errors: Exception) -> None:
    """Makes calls that end with `errors`, even if the breaker is open."""
    for error in errors:

        async def fail(error: Exception = error) -> None:
            raise error

        with pytest.raises(type(error)):
            await breaker.call_even_if_open(fail)


@pytest.mark.parametrize("answer", [REFUSED, LEFT_OUT], ids=["refused", "left out"])
async def test_an_error_that_the_backend_answers_with_ends_a_row_of_failures(
    breaker: CircuitBreaker, answer: Exception
) -> None:
    await end_with(breaker, answer, answer, LOST, answer, LOST)
    assert not breaker.is_open


@pytest.mark.parametrize("answer", [REFUSED, LEFT_OUT], ids=["refused", "left out"])
async def test_an_error_that_the_backend_answers_with_closes_an_open_breaker(
    breaker: CircuitBreaker, answer: Exception
) -> None:
    await end_with(breaker, LOST, LOST)
    assert breaker.is_open
    await end_with(breaker, answer)
    assert not breaker.is_open
