"""`python -m service`: serves a bundle; the settings are environment variables."""

import sys

import uvicorn
from pydantic import ValidationError

from service.settings import Settings


def main() -> None:
    """Serves until told to stop."""
    try:
        settings = Settings()
    except ValidationError as error:
        sys.exit(str(error))
    uvicorn.run(
        "service.app:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        access_log=False,
        timeout_graceful_shutdown=10,
    )


if __name__ == "__main__":
    main()
