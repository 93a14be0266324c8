"""The per-connection parts of uvicorn's protocol that take the most memory, in a smaller form.

uvicorn makes two deques for each connection, of 760 bytes each, which most connections never use.
Thousands of idle connections would take megabytes for them.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl


class LazyFlow(FlowControl):
    """Flow control that creates its `asyncio.Event` only when a client does not read its answer.

    Attributes:
        read_paused: whether reading from the transport is paused.
        write_paused: whether the transport takes no more of an answer for now.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = False
        self.write_paused = False

    async def drain(self) -> None:
        """Waits until the transport takes more of an answer."""
        if self.write_paused:
            await self._is_writable_event.wait()

    def pause_writing(self) -> None:
        """Makes `drain` wait until `resume_writing`."""
        if not self.write_paused:
            self.write_paused = True
            self._is_writable_event = asyncio.Event()


class Pipeline(list[Any]):
    """The pipelined requests of a connection, which wait for an earlier answer; newest first."""

    __slots__ = ()

    def appendleft(self, request: Any) -> None:
        """Adds `request`, which is the newest."""
        self.insert(0, request)
