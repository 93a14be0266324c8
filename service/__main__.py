"""`python -m service`: serves a bundle; the settings are environment variables."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import uvicorn
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError

from export.contract.bundle import BundleError
from service.bundles.loading import load_recommender
from service.settings import Settings
from service.telemetry.logs import log_config
from service.telemetry.worker_metrics import FOLDER_VARIABLE


def main() -> None:
    """Serves until told to stop; ends with a line and exit code 1 if that cannot begin."""
    try:
        settings = Settings()
        # Here and not in a worker: it would die with a traceback, and take the exit code with it.
        for each in settings.served_variants:
            load_recommender(each.path, settings.max_k)
    except ValidationError as error:
        sys.exit("\n".join(map(_line, error.errors())))
    except (BundleError, SettingsError) as error:
        sys.exit(f"cannot serve: {error}")
    with _metrics_folder(settings.workers):
        uvicorn.run(
            "service.worker:create_worker",
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            access_log=False,
            log_config=log_config(settings.log_format, settings.log_level),
            timeout_graceful_shutdown=10,
            # Longer than proxies keep theirs: who sends on one that is being closed gets no answer.
            timeout_keep_alive=75,
            # A worker answers only once it has imported everything: on a busy machine, not in 5 s.
            timeout_worker_healthcheck=30,
        )


def _line(error: ErrorDetails) -> str:
    """A setting and what is wrong with it; not its value, which may be a secret."""
    names = [str(part).upper() for part in error["loc"]]
    return ": ".join([*names, error["msg"].removeprefix("Value error, ")])


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
