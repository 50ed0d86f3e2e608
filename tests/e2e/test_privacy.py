"""What the operator of a stack can read of a conversation: nothing (docs/privacy.md)."""

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from chat.terminal import http
from chat.terminal.files import File
from chat.terminal.room import Room
from gateway.testing import Gateway, emptied
from tests.e2e.people import PATIENCE, Host
from tests.e2e.processes import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

SECRETS = {
    "title": "Quince marmalade",
    "name": "Xanthippe",
    "text": "The walrus brings turquoise gravel",
    "edit": "The walrus brings purple gravel",
    "reaction": "🦔",
    "file": "blueprint-of-the-kiosk.txt",
    "content": "A crow counts seventeen lanterns.\n",
    "passphrase": "vermilion teapot",
}

CHANCE = 8
"""Characters below which a text of base64 would be found in ciphertext by chance."""


@pytest.fixture(scope="module")
def started() -> Iterator[Gateway]:
    with Gateway(ROOT / "template.yaml", parameters=lambda url: {"PublicUrl": url, "RoomsPerHour": 0}) as gateway:
        yield gateway


gateway = emptied("started")


def forms(secret: str) -> Iterator[bytes]:
    """Yield how a text might lie somewhere: as it is, in JSON, and inside base64 at each of three places."""
    yield secret.encode()
    yield json.dumps(secret)[1:-1].encode()
    data = secret.encode()
    for lead in range(3):
        encoded = base64.b64encode(bytes(lead) + data)
        inner = encoded[-(-lead * 8 // 6) : (lead + len(data)) * 8 // 6]  # the characters that hold nothing else
        if len(inner) >= CHANCE:
            yield inner
            yield inner.translate(bytes.maketrans(b"+/", b"-_"))


def seen(gateway: Gateway) -> list[bytes]:
    """Return all that lies in the table, and all that passed the gateway: frames, events, answers, log lines."""
    gateway.settle()
    items = gateway.table("Table").items
    assert items
    entries = [value for entry in gateway.journal for value in asdict(entry).values()]
    whole = [value if isinstance(value, bytes) else str(value).encode() for value in entries]
    return [repr(items).encode(), json.dumps(items, default=_text).encode(), *whole]


def _text(value: Any) -> str:
    return bytes(value).decode("latin-1") if isinstance(value, bytes | bytearray) else str(value)


def found(gateway: Gateway, secret: str) -> list[bytes]:
    everything = seen(gateway)
    return [each[:500] for each in everything if any(form in each for form in forms(secret))]


def check(gateway: Gateway, **others: str) -> None:
    for what, secret in (SECRETS | others).items():
        assert not found(gateway, secret), f"{what} can be read"


async def _talk(url: str, directory: Path) -> tuple[str, str]:
    """Do everything that a room has; returns the room's id and its link's secret."""
    new = http.NewRoom(title=SECRETS["title"], passphrase=SECRETS["passphrase"])
    link, owner_key = await http.create(url, new)
    first = Room(link, SECRETS["name"], SECRETS["passphrase"], owner_key)
    second = Room(link, "Yolanda", SECRETS["passphrase"])
    await first.enter()
    await second.enter()
    await first.say(SECRETS["text"])
    message = first.messages.get(1)
    assert message
    await first.edit(message, SECRETS["edit"])
    await second.react(message, SECRETS["reaction"])
    path = directory / SECRETS["file"]
    path.write_text(SECRETS["content"] * 2_000)
    await second.send_file(File.read(path))
    sent = second.messages.get(2)
    assert sent
    assert await first.fetch_file(sent) == path.read_bytes()
    await second.leave()
    await first.leave()
    return link.room, link.secret


def test_nothing_that_was_said_can_be_read(gateway: Gateway, tmp_path: Path) -> None:
    room, secret = asyncio.run(_talk(gateway.url, tmp_path))
    assert found(gateway, room), "the room's id is what a server must know: whoever searches for it finds it"
    check(gateway, secret=secret)


def test_nothing_that_was_said_in_the_page_can_be_read(gateway: Gateway, browser: Browser, tmp_path: Path) -> None:
    choices = {"new-passphrase": SECRETS["passphrase"]}
    host = Host(browser, gateway.url, SECRETS["name"], SECRETS["title"], choices)
    host.say(SECRETS["text"])
    host.sees(SECRETS["text"])
    host.react(SECRETS["text"], "🎉")
    host.act(SECRETS["text"], "edit")
    host.say(SECRETS["edit"])
    host.sees(SECRETS["edit"])
    path = tmp_path / SECRETS["file"]
    path.write_text(SECRETS["content"] * 2_000)
    host.at("picker").set_input_files(path)
    host.at("send").click()
    expect(host.at("message").nth(1)).to_have_attribute("data-state", "sent", timeout=PATIENCE)
    room, _, secret = host.page.url.partition("/r/")[2].partition("#")
    assert found(gateway, room)
    check(gateway, secret=secret, reaction="🎉")
    assert not host.complaints


@pytest.mark.parametrize("secret", SECRETS.values())
def test_the_search_would_find_it(secret: str) -> None:
    assert any(form in json.dumps({"a": secret}).encode() for form in forms(secret))
    for lead in range(6 if len(secret) >= CHANCE else 0):
        hidden = base64.b64encode(b"x" * lead + secret.encode() + b"more")
        assert any(form in hidden for form in forms(secret))
