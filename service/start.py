"""The program `python -m service`: reads the settings, checks the bundles and serves."""

import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from tempfile import TemporaryDirectory

import uvicorn
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError

from export.contract.bundle import BundleError, BundleLayout
from service.access.keys_file import KeysFileError, read_keys
from service.bundles.checking import checks_of
from service.bundles.mirrors import copy_active, mirrors_of
from service.processes.server import FINISH_SECONDS
from service.processes.serving import serve
from service.setting_parts.variants import VariantSetting
from service.settings import Settings, described
from service.telemetry.logs import log_config
from service.telemetry.worker_metrics import FOLDER_VARIABLE

_HOW_TO_GET_A_BUNDLE = (
    "make one with `distilled-recommender demo` (MovieLens) "
    "or `distilled-recommender export CONFIG` (your data)"
)

_IMPORT_SECONDS = 30
"""Maximum time of a worker's start on a busy machine, without the loading of its bundles."""


def main(arguments: Sequence[str] = ()) -> None:
    """Serves until a signal ends the process.

    Raises:
        SystemExit: code 0 after `--help`; code 1 with a message if the service cannot start;
            code 2 for any other argument.
    """
    _parse(arguments)
    try:
        settings = Settings()
        # Checked before workers start: a worker that cannot load its keys or its bundle would end
        # with a traceback, and the exit code of the program would not show the failure.
        if settings.keys_file is not None:
            read_keys(settings.keys_file)
        copy_active(mirrors_of(settings))
        for each in settings.served_variants:
            if not BundleLayout(each.path).manifest.is_file():
                sys.exit(_no_bundle(settings, each))
        _check_bundles(settings)
    except ValidationError as error:
        sys.exit("\n".join(map(_line, error.errors())))
    except (BundleError, KeysFileError, SettingsError) as error:
        sys.exit(f"cannot serve: {error}")
    start_seconds = _IMPORT_SECONDS + settings.load_seconds * len(settings.served_variants)
    with _metrics_folder(settings.workers):
        serve(_server_config(settings), settings.drain_seconds, start_seconds)


def _server_config(settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        "service.worker:create_worker",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        access_log=False,
        server_header=False,
        proxy_headers=settings.tracing,  # only spans have the address of the client
        http="service.http.protocol:LimitedProtocol",
        ws="none",
        log_config=log_config(settings.log_format, settings.log_level),
        timeout_graceful_shutdown=FINISH_SECONDS,
        # Longer than proxies keep idle connections. If the service closed a connection first, a
        # request that a proxy sends on it at that moment would be lost.
        timeout_keep_alive=75,
    )


def _check_bundles(settings: Settings) -> None:
    """Checks the bundles of all variants in child processes, two at a time.

    If this process will be the only worker, it imports the worker's modules meanwhile.

    Raises:
        BundleError: a bundle is refused.
    """
    checks = checks_of(settings)
    paths = [each.path for each in settings.served_variants]
    with ThreadPoolExecutor(max_workers=2) as threads:
        checking = threads.map(checks.check, paths)
        if settings.workers == 1:
            import_module("service.worker")
        list(checking)


def _parse(arguments: Sequence[str]) -> None:
    """Prints the settings and exits for `--help`; exits with an error for any other argument."""
    ArgumentParser(
        prog="python -m service",
        usage="[SETTING=VALUE ...] %(prog)s [--help]",
        description="Serves a bundle over HTTP. All settings are environment variables. "
        "If SECRETS_PATH names a folder, each file in it gives the setting of the same name.",
        epilog=f"settings, with their defaults:\n\n{described()}",
        formatter_class=RawDescriptionHelpFormatter,
    ).parse_args(arguments)


def _no_bundle(settings: Settings, variant: VariantSetting) -> str:
    setting = "BUNDLE_PATH" if settings.variants is None else f"VARIANTS: {variant.name}"
    return f"cannot serve: {setting} = {variant.path} holds no bundle; {_HOW_TO_GET_A_BUNDLE}"


def _line(error: ErrorDetails) -> str:
    """Formats the name of an invalid setting and the reason; omits the value, a possible secret."""
    names = [str(part).upper() for part in error["loc"]]
    return ": ".join([*names, error["msg"].removeprefix("Value error, ")])


@contextmanager
def _metrics_folder(workers: int) -> Iterator[None]:
    """Context manager: makes a temporary folder in which several workers share metrics.

    The environment variable named by FOLDER_VARIABLE passes the folder's path to the workers. Does
    nothing for one worker.
    """
    if workers == 1:
        yield
        return
    with TemporaryDirectory(prefix="recommender-metrics-") as folder:
        os.environ[FOLDER_VARIABLE] = folder
        yield
