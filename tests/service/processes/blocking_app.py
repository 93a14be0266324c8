"""An application whose requests can block its event loop or end its worker."""

import os
import time
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()


@app.post("/block")
async def block() -> StreamingResponse:
    async def answer() -> AsyncIterator[bytes]:
        yield b"blocked"
        time.sleep(3600)

    return StreamingResponse(answer())


@app.post("/end")
async def end(code: int) -> None:
    os._exit(code)
