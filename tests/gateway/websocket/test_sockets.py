"""What clients send and see on a socket, without processes."""

import asyncio
from dataclasses import replace

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway.settings import Settings
from tests.gateway.websocket.cores import until
from tests.gateway.websocket.small import serving

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("counts", [False, True])
async def test_whether_a_ping_is_activity_is_a_setting(counts: bool) -> None:
    settings = Settings(connect_window=0, ping_is_activity=counts)
    async with (
        serving(settings=settings) as (small, port),
        connect(f"ws://127.0.0.1:{port}/live", proxy=None, ping_interval=None) as client,
    ):
        await until(lambda: small.api.connections.all())
        await small.clock.turn(599)
        await (await client.ping())
        await small.clock.turn(10)
        assert len(small.api.connections.all()) == counts


async def test_an_address_holds_4096_characters() -> None:
    async with serving() as (_, port):
        url = f"ws://127.0.0.1:{port}/live?"
        room = 4096 - len("/live?")
        async with connect(url + "a" * room, proxy=None):
            pass
        with pytest.raises(InvalidStatus) as refused:
            await connect(url + "a" * (room + 1), proxy=None)
        assert refused.value.response.status_code == 414


async def test_a_client_that_does_not_answer_the_close_is_cut() -> None:
    settings = replace(Settings(connect_window=0), close_wait=0.05)
    async with serving(settings=settings) as (small, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"GET /live HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await until(lambda: small.api.connections.all())
        small.api.end(small.api.connections.all()[0], 1000)
        async with asyncio.timeout(2):
            received = await reader.read()
        assert received.endswith(b"Connection Closed Normally")
        writer.close()
