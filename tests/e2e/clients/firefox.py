"""Firefox without a window, by WebDriver BiDi: Playwright drives no Firefox but one that it has built itself.

https://w3c.github.io/webdriver-bidi/
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from websockets.sync.client import connect

from tests.e2e.processes import PATIENCE, Process

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")

# What it would ask the network for on its own, and a viewer in the place of documents that are JSON.
PREFERENCES = {
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.safebrowsing.downloads.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "devtools.jsonview.enabled": False,
    "dom.push.connection.enabled": False,
    "extensions.getAddons.cache.enabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.server": "",
}


class Firefox:
    """One browser with one tab; `directory` takes its profile and what is saved."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._stack = ExitStack()
        self._id = 0
        self._complaints: list[str] = []

    def __enter__(self) -> Self:
        assert FIREFOX
        home = str(self.directory)
        preferences = PREFERENCES | {"browser.download.folderList": 2, "browser.download.dir": home}
        lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items())
        (self.directory / "user.js").write_text("".join(lines))
        command = [FIREFOX, "--headless", "--no-remote", "--remote-debugging-port", "0", "--profile", home]
        with ExitStack() as stack:
            process = stack.enter_context(Process(command, env={"HOME": home}))
            line = process.wait_for(lambda line: "WebDriver BiDi listening on" in line)
            self._socket = stack.enter_context(connect(f"{line.split()[-1]}/session", max_size=None, proxy=None))
            self._tell("session.new", capabilities={})
            stack.callback(self._tell, "browser.close")
            self._tell("session.subscribe", events=["log.entryAdded", "browsingContext.userPromptOpened"])
            [self._tab] = self.tabs()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def tabs(self) -> list[str]:
        """Return the ids of all tabs and windows."""
        return [tab["context"] for tab in self._tell("browsingContext.getTree")["contexts"]]

    @contextmanager
    def tab(self) -> Iterator[None]:
        """Work in another tab for a while; then it is closed."""
        before, self._tab = self._tab, self._tell("browsingContext.create", type="tab")["context"]
        try:
            yield
        finally:
            self._tell("browsingContext.close", context=self._tab)
            self._tab = before

    def complaints(self) -> list[str]:
        """Return the console's errors and warnings, and scripts' dialogs, since a document was opened."""
        self.tabs()  # what was said before the answer has come with it
        return list(self._complaints)

    def open(self, url: str) -> None:
        """Load a document into the tab."""
        self._complaints.clear()
        self._tell("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    def evaluate(self, function: str, *arguments: Any) -> Any:
        """Call a JavaScript function with values that are JSON; returns the text that it promises."""
        call = f"({function})(...{json.dumps(arguments)})"
        answer = self._tell("script.evaluate", expression=call, target={"context": self._tab}, awaitPromise=True)
        assert answer["type"] == "success", answer["exceptionDetails"]["text"]
        return answer["result"]["value"]

    def _tell(self, method: str, **params: Any) -> Any:
        self._id += 1
        self._socket.send(json.dumps({"id": self._id, "method": method, "params": params}))
        while (answer := json.loads(self._socket.recv(PATIENCE))).get("id") != self._id:
            self._note(answer["params"])
        assert answer["type"] == "success", answer
        return answer["result"]

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("level", "error") in ("error", "warn"):
            self._complaints.append(event.get("text") or f"dialog: {event['message']}")
