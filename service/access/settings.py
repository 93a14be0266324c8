"""Settings of access: address, keys, origins, and what requests without a key may do."""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

from service.access.principal import Scope, joined, parse_scopes

Examples = Literal["catalog", "bundle", "off"]

_FOR_EVERYBODY = frozenset({Scope.READ, Scope.WRITE, Scope.TEACHER})
_ALL_ORIGINS = "*"
_ALL_HOSTS = "*"
_HOST_NAME = re.compile(r"[a-z0-9._:-]+", re.ASCII)  # with colons, for an address of IPv6


class AccessSettings(BaseSettings):
    """Settings of who may call the service; a base class of `service.settings.Settings`."""

    host: str = Field(default="127.0.0.1", description="HOST: address to listen on")
    keys_file: Path | None = Field(
        default=None,
        description="KEYS_FILE: the file of API keys, which `distilled-recommender key` writes; "
        "unset = the service has no keys, and listens only where no other machine reaches it",
    )
    allow_anonymous: str | None = Field(
        default=None,
        description="ALLOW_ANONYMOUS: what requests without a key may do, a list of `read`, "
        "`write` and `teacher`; unset = nothing if there is a KEYS_FILE, else all three",
    )
    admin_key: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="ADMIN_KEY: a key of scope `admin`, at least 16 characters; unset = without a "
        "KEYS_FILE the model's routes are closed, and the items' routes are open on loopback",
    )
    cors_origins: str | None = Field(
        default=None,
        description="CORS_ORIGINS: origins whose pages may call the service from a browser, such "
        "as `https://shop.example`, separated by commas; unset = none",
    )
    allowed_hosts: str | None = Field(
        default=None,
        description="ALLOWED_HOSTS: names in the header `Host` that are answered, besides those of "
        "loopback and HOST, separated by commas; `*` = any; unset = any, but on loopback only "
        "these if requests without a key may do anything",
    )
    examples: Examples = Field(
        default="catalog",
        description="EXAMPLES: histories that `GET /v1/examples` shows: made from popular items "
        "of the `catalog`, those of real users in the `bundle`, or none (`off`)",
    )

    @property
    def scopes_for_all(self) -> frozenset[Scope]:
        """The scopes that every request has, with or without a key."""
        if self.allow_anonymous is not None:
            return parse_scopes(self.allow_anonymous)
        return _FOR_EVERYBODY if self.keys_file is None else frozenset()

    @property
    def are_items_open(self) -> bool:
        """Whether requests without a key may add and remove items.

        True only if neither a key nor ALLOW_ANONYMOUS is set. The service then listens only on
        loopback.
        """
        has_keys = self.keys_file is not None or self.admin_key is not None
        return not has_keys and self.allow_anonymous is None

    @property
    def allowed_origins(self) -> Sequence[str]:
        """The origins whose pages may call the service from a browser, from CORS_ORIGINS."""
        return [each.strip() for each in (self.cors_origins or "").split(",") if each.strip()]

    @property
    def answered_hosts(self) -> frozenset[str] | None:
        """Host names allowed in the header `Host` besides those of loopback; None: any name.

        Without this check, a web page whose name resolves to this machine (DNS rebinding) could
        call a service without keys on loopback.
        """
        if self.allowed_hosts is None and not (is_loopback(self.host) and self.scopes_for_all):
            return None
        names = frozenset(_names_in(self.allowed_hosts))
        return None if _ALL_HOSTS in names else names | {self.host.lower()}

    @field_validator("allowed_hosts")
    @classmethod
    def _check_allowed_hosts(cls, text: str | None) -> str | None:
        for each in _names_in(text):
            if each != _ALL_HOSTS and not _HOST_NAME.fullmatch(each):
                raise ValueError(f"{each!r} must be a host name, such as shop.example, or `*`")
        return text

    @field_validator("allow_anonymous")
    @classmethod
    def _check_allow_anonymous(cls, text: str | None) -> str | None:
        if text is not None and Scope.ADMIN in parse_scopes(text):
            raise ValueError(
                f"`admin` needs a key: choose from {joined(_FOR_EVERYBODY)}, or set ADMIN_KEY"
            )
        return text

    @field_validator("cors_origins")
    @classmethod
    def _check_cors_origins(cls, text: str | None) -> str | None:
        for each in (text or "").split(","):
            origin = each.strip()
            if origin and origin != _ALL_ORIGINS and not _is_origin(origin):
                raise ValueError(f"{origin!r} is not an origin, such as https://shop.example")
        return text

    @model_validator(mode="after")
    def _check_bind(self) -> Self:
        has_rule = self.keys_file is not None or self.allow_anonymous is not None
        if not has_rule and not is_loopback(self.host):
            raise ValueError(
                f"HOST = {self.host} lets other machines in: set KEYS_FILE to a file of API keys "
                "(`distilled-recommender key create` makes one), or ALLOW_ANONYMOUS=read,write if "
                "everybody who reaches the service may read and write; 127.0.0.1 needs neither"
            )
        return self


def is_loopback(host: str) -> bool:
    """Returns whether `host` is a loopback address or the name `localhost`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _names_in(text: str | None) -> Sequence[str]:
    return [each.strip().lower() for each in (text or "").split(",") if each.strip()]


def _is_origin(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme in {"http", "https"} and text == f"{parts.scheme}://{parts.netloc}"
