"""Builds authentication and rate limits from the settings."""

from dataclasses import dataclass, field
from typing import Self

from service.access.authentication import Authentication
from service.access.rate_limits import RateLimits
from service.access.settings import AccessSettings


@dataclass(frozen=True)
class Access:
    """Authentication and rate limits of the service.

    Attributes:
        are_items_open: whether requests without a key may add and remove items.
    """

    authentication: Authentication
    are_items_open: bool
    limits: RateLimits = field(default_factory=RateLimits)

    @classmethod
    def of(cls, settings: AccessSettings) -> Self:
        """Makes an Access from the settings.

        Does not read the file of keys; call `authentication.load` for this.
        """
        admin_key = settings.admin_key.get_secret_value() if settings.admin_key else None
        authentication = Authentication(settings.keys_file, admin_key, settings.scopes_for_all)
        return cls(authentication, settings.are_items_open)
