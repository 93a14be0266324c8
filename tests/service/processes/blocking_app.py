"""An application whose requests can block its event loop or end its worker."""

import os
import time

from fastapi import FastAPI

app = FastAPI()


@app.get("/worker")
async def worker() -> int:
    return os.getpid()


@app.post("/block")
async def block() -> None:
    time.sleep(3600)


@app.post("/end")
async def end(code: int) -> None:
    os._exit(code)
