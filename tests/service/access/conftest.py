"""A file of keys, one for each case of the access matrix."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.access.key_commands import NewKey, create_key, revoke_key
from service.access.keys_file import KeysFile, read_keys, write_keys
from service.access.principal import Scope

ALL = frozenset(Scope)


@dataclass(frozen=True)
class Keys:
    """The path of a file of keys, and the header of each of its keys by name."""

    path: Path
    headers: Mapping[str, Mapping[str, str]]


def header(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def expire(path: Path, key: str) -> None:
    """Lets a key of the file expire a second ago."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    keys = [
        each.model_copy(update={"expires_at": past}) if key.startswith(each.id) else each
        for each in read_keys(path).keys
    ]
    write_keys(path, KeysFile(keys=keys))


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """One key of each scope, one with all of them, and keys that are wrong, revoked, expired."""
    path = tmp_path / "keys.json"
    of_scope = {each.value: create_key(path, NewKey(frozenset({each}))) for each in Scope}
    made = {name: create_key(path, NewKey(ALL)) for name in ("all", "revoked", "expired")}
    revoke_key(path, made["revoked"].partition(".")[0])
    expire(path, made["expired"])
    other = create_key(path, NewKey(ALL, tenant="other"))
    wrong = f"{made['all'][:-1]}{'A' if made['all'][-1] != 'A' else 'B'}"
    named = of_scope | made | {"wrong": wrong, "other tenant": other}
    return Keys(path, {"no key": {}} | {name: header(key) for name, key in named.items()})
