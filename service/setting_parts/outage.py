"""Settings that decide what happens to events while the history store fails."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings

_MIB = 1 << 20


class OutageSettings(BaseSettings):
    """Settings for outages of the history store; a base class of `service.settings.Settings`."""

    store_outage: Literal["refuse", "journal"] = Field(
        default="refuse",
        description="STORE_OUTAGE: what happens to an event that Redis does not store: `refuse` "
        "says so in the answer; `journal` says so too, keeps the event on this machine's disk and "
        "stores it later; needs REDIS_URL",
    )
    journal_path: Path = Field(
        default=Path("journal"),
        description="JOURNAL_PATH: folder of the journals of all workers of this machine, on a "
        "disk that outlives the process",
    )
    journal_max_bytes: int = Field(
        default=64 * _MIB,
        ge=2 * _MIB,
        description="JOURNAL_MAX_BYTES: maximum size of all journals in JOURNAL_PATH, about 100 "
        "bytes an event; when it is reached, events are refused",
    )
