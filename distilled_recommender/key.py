"""`distilled-recommender key`: makes, lists and revokes API keys of the service."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from service.access.key_commands import ARGUMENTS, NewKey, create_key, list_keys, revoke_key
from service.access.keys_file import KeysFileError
from service.access.principal import DEFAULT_TENANT, Limits, parse_scopes
from training.cli import say
from training.errors import ConfigError


def _argument(name: str, env_var: str | None = None) -> Parameter:
    return Parameter(help=ARGUMENTS[name], env_var=env_var)


KeysPath = Annotated[Path, _argument("file", "KEYS_FILE")]
Scopes = Annotated[str, _argument("scopes")]
Tenant = Annotated[str, _argument("tenant")]
KeyId = Annotated[str, _argument("key_id")]


@Parameter(name="*")
@dataclass(frozen=True)
class KeyOptions:
    """Limits of a new API key; None stands for no limit."""

    requests_per_second: Annotated[
        float | None, Parameter(help=ARGUMENTS["requests_per_second"])
    ] = None
    burst: Annotated[int | None, Parameter(help=ARGUMENTS["burst"])] = None
    requests_per_day: Annotated[int | None, Parameter(help=ARGUMENTS["requests_per_day"])] = None
    expires_in_days: Annotated[float | None, Parameter(help=ARGUMENTS["expires_in_days"])] = None


UNLIMITED = KeyOptions()


def create(
    *,
    file: KeysPath,
    scopes: Scopes,
    tenant: Tenant = DEFAULT_TENANT,
    options: KeyOptions = UNLIMITED,
) -> None:
    """Print a new API key, and add its salted hash to the file."""
    limits = Limits(options.requests_per_second, options.burst, options.requests_per_day)
    with _user_errors():
        new = NewKey(parse_scopes(scopes), tenant, limits, options.expires_in_days)
        say(create_key(file, new))


def list_all(*, file: KeysPath) -> None:
    """Print a line for each key: id, tenant, scopes, limits and state."""
    with _user_errors():
        for line in list_keys(file):
            say(line)


def revoke(key_id: KeyId, /, *, file: KeysPath) -> None:
    """Refuse an API key from now on; a running service follows within a second."""
    with _user_errors():
        revoke_key(file, key_id)


@contextmanager
def _user_errors() -> Iterator[None]:
    try:
        yield
    except (KeysFileError, ValueError, OSError) as error:
        raise ConfigError(str(error)) from None
