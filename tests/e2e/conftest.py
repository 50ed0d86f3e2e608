"""The gateway in its three guises, and the browsers."""

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.e2e.clients.firefox import FIREFOX, Firefox
from tests.e2e.clients.webkit import WEBKIT, WebKit
from tests.e2e.people import Visitor
from tests.e2e.processes import ROOT, Gateway
from tests.e2e.stage import Server, serving

SCREENSHOTS = ROOT / ".cache" / "screenshots"
CHROMIUM = shutil.which("chromium")

# As root it has no sandbox of its own; the rest keeps it from asking the network for things of its own.
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

if not (ROOT / "node_modules" / "socket.io-client").exists():
    raise pytest.UsageError("node_modules is missing: run the tests with `make test`, which installs it")


@pytest.fixture(scope="session")
def one_origin() -> Iterator[Gateway]:
    """The gateway as a deployment behind a CDN: one origin, /socket.io/."""
    with Gateway() as gateway:
        yield gateway


@pytest.fixture(scope="session")
def own_address() -> Iterator[Gateway]:
    """The gateway as a deployment without a CDN: the socket at the WebSocket API's own address."""
    with Gateway(single_origin=False) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def fresh() -> Iterator[Gateway]:
    """The gateway that runs every invocation in a new process."""
    with Gateway("--fresh") as gateway:
        yield gateway


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The page without a gateway, for a Stage."""
    with serving() as server:
        yield server


@pytest.fixture(scope="module")  # longer, and its event loop would be in the way of other tests
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """Chromium, in which nothing is left open: pages that nobody looks at would still be drawn."""
    yield chromium
    for context in chromium.contexts:
        context.close()


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    if FIREFOX is None:
        pytest.skip("no Firefox: sudo apt-get install firefox-esr")
    with Firefox(tmp_path_factory.mktemp("firefox")) as firefox:
        yield firefox


@pytest.fixture(scope="module")
def webkit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebKit]:
    if not WEBKIT:
        pytest.skip("no WebKit: sudo apt-get install webkit2gtk-driver xvfb")
    with WebKit(tmp_path_factory.mktemp("webkit")) as webkit:
        yield webkit


@pytest.fixture
def calm() -> Iterator[Callable[..., None]]:
    """Nobody's console had anything to say; `calm(*people)` names those who are asked at the end."""
    asked: list[Visitor] = []
    yield lambda *people: asked.extend(people)
    assert [person.complaints for person in asked] == [[] for _ in asked]
