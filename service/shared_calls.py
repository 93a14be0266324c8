"""Many callers of one function share few calls of it, so that no caller can make it run often."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class SharedCalls(Generic[Result]):
    """Calls a function for many callers: one call at a time, with a pause after each.

    A caller gets the result of a call that began after it asked. All callers that ask until then
    share this call.

    Attributes:
        waiting: number of callers that wait for their result.
    """

    def __init__(
        self,
        function: Callable[[], Awaitable[Result]],
        pause_after: Callable[[float], float],
    ) -> None:
        """Makes shared calls of `function`.

        Args:
            function: the function to call.
            pause_after: returns the time in seconds between a call and the next one; its argument
                is the time in seconds that the call took.
        """
        self.waiting = 0
        self._function = function
        self._pause_after = pause_after
        self._next: asyncio.Task[Result] | None = None  # waits for its turn
        self._is_free = asyncio.Lock()
        self._may_begin_at = 0.0

    async def result(self) -> Result:
        """Returns the result of a call that begins after this one; raises the function's errors."""
        if self._next is None:
            self._next = asyncio.create_task(self._call_in_turn())
        self.waiting += 1
        try:
            # Shielded, because other callers share it.
            return await asyncio.shield(self._next)
        finally:
            self.waiting -= 1

    async def _call_in_turn(self) -> Result:
        time = asyncio.get_running_loop().time
        async with self._is_free:
            await asyncio.sleep(self._may_begin_at - time())
            self._next = None
            began = time()
            try:
                return await self._function()
            finally:
                self._may_begin_at = time() + self._pause_after(time() - began)
