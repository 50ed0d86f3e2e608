"""The rooms API, from the outside (docs/chat.md, "HTTP")."""

from dataclasses import dataclass
from typing import Any

import aiohttp

from chat.seals import Keys, Link, digest, random_id
from chat.terminal.errors import RoomError

OWNER_KEY_BYTES = 32
TIMEOUT = aiohttp.ClientTimeout(total=30)


@dataclass(frozen=True, slots=True)
class NewRoom:
    """What a room is to be; `ttl` in seconds."""

    title: str = ""
    ttl: int = 3600
    people: int = 50
    passphrase: str = ""
    burn_when_empty: bool = False


async def create(origin: str, new: NewRoom) -> tuple[Link, str]:
    """Create a room; returns its link and its owner's key. Raises RoomError."""
    link, owner_key = Link.new(origin), random_id(OWNER_KEY_BYTES)
    keys = Keys(link.room, link.secret, new.passphrase)
    body = {
        "room": link.room,
        "door": digest(keys.door),
        "owner": digest(owner_key),
        "title": keys.seal("title", new.title) if new.title else "",
        "ttl": new.ttl,
        "people": new.people,
        "passphrase": bool(new.passphrase),
        "burn_when_empty": new.burn_when_empty,
    }
    await _request("POST", f"{link.origin}/api/rooms", json=body)
    return link, owner_key


async def show(link: Link) -> dict[str, Any]:
    """Return ``{room, title, expires_at, passphrase, locked}``; raises RoomError."""
    return await _request("GET", _address(link))


async def burn(link: Link, owner_key: str) -> None:
    """Burn a room; raises RoomError."""
    await _request("DELETE", _address(link), headers={"Authorization": f"Bearer {owner_key}"})


async def find_socket(link: Link) -> dict[str, Any]:
    """Return where the socket is: ``{url, path, transports?, fallback?}``; an empty url is the origin itself."""
    return dict((await _request("GET", f"{link.origin}/config.json"))["socket"])


def _address(link: Link) -> str:
    return f"{link.origin}/api/rooms/{link.room}"


async def _request(method: str, url: str, **options: Any) -> dict[str, Any]:
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as session,
            session.request(method, url, **options) as response,
        ):
            if response.status == 204:
                return {}
            answer = await response.json()
    except (aiohttp.ClientConnectionError, TimeoutError) as error:
        raise RoomError("unreachable", f"{url} cannot be reached: {error or 'no answer'}") from error
    except (aiohttp.ClientError, ValueError) as error:
        raise RoomError.of(None) from error
    if response.status >= 400 or not isinstance(answer, dict):
        raise RoomError.of(answer)
    return answer
