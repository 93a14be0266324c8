"""A worker accepts connections while it has much work."""

import asyncio
import socket

import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from service.http.connections import connections_of
from service.http.protocol import LimitedProtocol
from service.processes.server import Server

CONNECTIONS = 8


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that is never called."""


async def accepted_in_a_turn() -> int:
    """Opens connections between two turns of the event loop; returns how many one turn accepts."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(nothing, http=LimitedProtocol, lifespan="off", log_config=None)
    server = Server(config)
    running = asyncio.create_task(server._serve([listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    clients = [socket.create_connection(listener.getsockname()) for _ in range(CONNECTIONS)]
    await asyncio.sleep(0)  # to the end of this turn
    await asyncio.sleep(0)
    accepted = len(connections_of(asyncio.get_running_loop())._addresses)
    for each in clients:
        each.close()
    server.should_exit = True
    await running
    return accepted


def test_one_turn_of_the_event_loop_accepts_many_connections() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(accepted_in_a_turn()) == CONNECTIONS
