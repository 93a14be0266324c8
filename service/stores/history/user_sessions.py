"""Which sessions have events of which users, for the store in memory."""

from collections.abc import Iterator, Sequence

from service.stores.history.protocol import MAX_USERS


class UserSessions:
    """Links sessions with their users, so that both are found without reading all sessions.

    Users without a session, and sessions without a user, take no memory.
    """

    def __init__(self) -> None:
        """Starts without links."""
        # Dictionaries without values are sets that keep the order in which links were made.
        self._users_of: dict[str, dict[str, None]] = {}
        self._sessions_of: dict[str, dict[str, None]] = {}

    def __iter__(self) -> Iterator[str]:
        """Iterates over the user refs of all users who have a session."""
        return iter(self._sessions_of)

    def of(self, user_ref: str) -> Sequence[str]:
        """Returns the session refs of a user's sessions, oldest link first."""
        return [*self._sessions_of.get(user_ref, ())]

    def link(self, ref: str, user_ref: str) -> None:
        """Links a session with the user of its newest event.

        A session keeps the MAX_USERS users with the newest events. `ref`: its session ref.
        """
        users = self._users_of.setdefault(ref, {})
        users.pop(user_ref, None)
        users[user_ref] = None
        self._sessions_of.setdefault(user_ref, {})[ref] = None
        if len(users) > MAX_USERS:
            _unlink(self._users_of, ref, oldest := next(iter(users)))
            _unlink(self._sessions_of, oldest, ref)

    def forget_session(self, ref: str) -> None:
        """Removes all links of a session, if it has any."""
        for user_ref in self._users_of.pop(ref, ()):
            _unlink(self._sessions_of, user_ref, ref)

    def forget_user(self, user_ref: str) -> None:
        """Removes all links of a user, if there are any."""
        for ref in self._sessions_of.pop(user_ref, ()):
            _unlink(self._users_of, ref, user_ref)


def _unlink(links: dict[str, dict[str, None]], one: str, other: str) -> None:
    """Removes `other` from the links of `one`; the last one takes the entry of `one` with it."""
    del links[one][other]
    if not links[one]:
        del links[one]
