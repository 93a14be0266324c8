"""`distilled-recommender serve`: starts `python -m service` with a bundle and some settings.

The service reads its settings from environment variables. Those that are often changed are also
options here, with the help texts of the service's settings.
"""

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from distilled_recommender.files import BUNDLE, carried
from export.contract.addresses.object_store import is_address
from service.settings import Settings
from training.cli import say
from training.errors import ConfigError

NO_BUNDLE = """\
no bundle: give its folder, as in `distilled-recommender serve work/movielens/bundle`, or set \
BUNDLE_PATH. `distilled-recommender demo` makes a bundle of MovieLens, `distilled-recommender \
export` one of your own data, and `distilled-recommender serve --example` serves the one that the \
package contains"""


def _setting(name: str) -> Parameter:
    """Makes an option for the service's setting `name`, with the setting's help text.

    The help names the environment variable of the setting. The variable is not read here, because
    the service reads it itself and treats an empty value as not set.
    """
    field = Settings.model_fields[name]
    text = (field.description or "").partition(": ")[2]
    default = "" if field.default is None else f", default: {field.default}"
    return Parameter(help=f"{text[:1].upper()}{text[1:]}. [env: {name.upper()}{default}]")


@Parameter(name="*")
@dataclass(frozen=True)
class ServeOptions:
    """Command-line options of `serve`; None leaves a setting to its environment variable."""

    host: Annotated[str | None, _setting("host")] = None
    port: Annotated[int | None, _setting("port")] = None
    workers: Annotated[int | None, _setting("workers")] = None
    teacher_url: Annotated[str | None, _setting("teacher_url")] = None

    def environment(self) -> Mapping[str, str]:
        """Returns the options that were given, as environment variables of the service."""
        return {name.upper(): str(value) for name, value in vars(self).items() if value is not None}


DEFAULTS = ServeOptions()
Bundle = Annotated[
    str | None,
    Parameter(
        help="Folder of a bundle, the link `active` to the last published one, or an address such "
        "as s3://bucket/shop. [env: BUNDLE_PATH or BUNDLE, default: bundle]"
    ),
]
Example = Annotated[
    bool,
    Parameter(help="Serve the MovieLens bundle that the package contains (no commercial use)."),
]


def command(
    bundle: Bundle = None,
    /,
    *,
    example: Example = False,
    options: ServeOptions = DEFAULTS,
) -> None:
    """Serve a bundle over HTTP.

    All other settings are environment variables; `python -m service --help` lists them.
    """
    if example and bundle is not None:
        raise ConfigError(
            f"--example serves the package's bundle, not {bundle!r}: give one of both"
        )
    if example:
        bundle = str(carried(BUNDLE))
        say(f"serving {bundle}")
    if bundle is not None:
        os.environ["BUNDLE"] = bundle if is_address(bundle) else ""
        if not is_address(bundle):
            os.environ["BUNDLE_PATH"] = bundle
    elif not _finds_a_bundle():
        raise ConfigError(NO_BUNDLE)
    os.environ.update(options.environment())
    _become_the_service()


def _finds_a_bundle() -> bool:
    """Returns whether the service may find a bundle without an option.

    The service looks in environment variables, in secret files and for the folder `./bundle`.
    """
    others = ("BUNDLE_PATH", "BUNDLE", "VARIANTS", "SECRETS_PATH")
    default: Path = Settings.model_fields["bundle_path"].default
    return any(os.environ.get(each) for each in others) or default.exists()


def _become_the_service() -> None:
    """Replaces this process with `python -m service`, whose workers do not import this program."""
    sys.stdout.flush()
    if hasattr(signal, "pthread_sigmask"):
        # Handlers end with this program. The service unblocks the signal when it can handle it.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    # With -P, a folder named `service` in the working folder is not imported.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "service"])  # noqa: S606
