"""How often something may be done."""

import pytest

from server import AsyncServer
from tests.server.rig import Rig


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_so_many_in_a_window(rig: Rig) -> None:
    rig.world.clock = 1_700_000_040_500  # a minute begins at 1,700,000,040
    assert [rig.sio.allow("ann", 2, 60) for _ in range(4)] == [0, 0, 60, 60]
    assert rig.sio.allow("bob", 2, 60) == 0
    rig.world.clock += 59_000
    assert rig.sio.allow("ann", 2, 60) == 1
    rig.world.clock += 500
    assert [rig.sio.allow("ann", 2, 60) for _ in range(3)] == [0, 0, 60]


def test_the_wait_is_long_enough(rig: Rig) -> None:
    for offset in (0, 1, 499, 999, 1_000, 59_999):
        rig.world.clock = 1_700_000_040_000 + offset
        assert rig.sio.allow(f"{offset}", 1, 60) == 0
        rig.world.clock += 1000 * rig.sio.allow(f"{offset}", 1, 60)
        assert rig.sio.allow(f"{offset}", 1, 60) == 0


def test_windows_of_several_lengths_do_not_mix(rig: Rig) -> None:
    """They end together at times."""
    rig.world.clock = 1_700_000_100_000 // 3_600_000 * 3_600_000 - 1_000
    assert rig.sio.allow("ann", 1, 60) == 0
    assert rig.sio.allow("ann", 1, 3_600) == 0
    assert rig.sio.allow("ann", 1, 3_600) == 1


@pytest.mark.parametrize("limit", [0, -1])
def test_no_limit(rig: Rig, limit: int) -> None:
    assert {rig.sio.allow("ann", limit, 60) for _ in range(9)} == {0}
    assert not rig.world.limits.used, "nothing is counted"


@pytest.mark.parametrize("key", ["ü" * 160, "join 2001:db8::1 room\x00", "\ud83d"])
def test_any_text_is_a_key(rig: Rig, key: str) -> None:
    assert rig.sio.allow(key, 1, 60) == 0
    assert rig.sio.allow(key, 1, 60) > 0


@pytest.mark.parametrize(("key", "seconds"), [("", 60), ("x" * 1_025, 60), ("x", 0), ("x", -5)])
def test_what_cannot_be_counted(rig: Rig, key: str, seconds: int) -> None:
    with pytest.raises(ValueError, match=r"key|window"):
        rig.sio.allow(key, 1, seconds)


def test_in_a_coroutine() -> None:
    sio = AsyncServer(namespaces=["/"])
    rig = Rig(sio.sync)

    @sio.event  # type: ignore[untyped-decorator]
    async def ask(sid: str) -> bool:
        wait: int = await sio.allow(sid, 1, 60)
        return wait == 0

    client = rig.client("/")
    client.emit("ask", id=1)
    client.emit("ask", id=2)
    assert client.take() == ["431[true]", "432[false]"]
