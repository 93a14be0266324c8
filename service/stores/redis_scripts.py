"""Runs Lua scripts in Redis, which caches them: the text of a script is sent only once."""

from hashlib import sha1
from typing import Any

from redis.exceptions import NoScriptError

from service.stores.redis_client import RedisCommands


class Script:
    """A Lua script, which runs in Redis; Redis caches it by the SHA-1 of its text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._sha = sha1(text.encode()).hexdigest()  # noqa: S324 - how Redis names scripts

    async def run(self, redis: RedisCommands, num_keys: int, *parts: str | int) -> Any:
        """Runs the script in Redis; sends its text only if Redis has not cached it.

        Returns the script's result, with strings decoded.

        Args:
            redis: client of the Redis that runs the script.
            num_keys: number of keys at the beginning of `parts`.
            parts: the keys that the script uses, then its arguments.
        """
        try:
            return await redis.execute_command("EVALSHA", self._sha, num_keys, *parts)
        except NoScriptError:
            return await redis.execute_command("EVAL", self._text, num_keys, *parts)
