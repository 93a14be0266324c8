"""`python -m service`: serves a bundle; the settings are environment variables."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import uvicorn
from pydantic import ValidationError

from service.logs import log_config
from service.settings import Settings
from service.shared_metrics import FOLDER_VARIABLE


def main() -> None:
    """Serves until told to stop."""
    try:
        settings = Settings()
    except ValidationError as error:
        sys.exit(str(error))
    with _metrics_folder(settings.workers):
        uvicorn.run(
            "service.app:create_app",
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            access_log=False,
            log_config=log_config(settings.log_format, settings.log_level),
            timeout_graceful_shutdown=10,
        )


@contextmanager
def _metrics_folder(workers: int) -> Iterator[None]:
    """Has several workers keep their metrics together; they read the variable as they start."""
    if workers == 1:
        yield
        return
    with TemporaryDirectory(prefix="recommender-metrics-") as folder:
        os.environ[FOLDER_VARIABLE] = folder
        yield


if __name__ == "__main__":
    main()
