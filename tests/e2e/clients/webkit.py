"""WebKitGTK's small browser on a display that nobody sees, by WebDriver: Playwright drives no WebKit but its own build.

https://www.w3.org/TR/webdriver2/
"""

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from tests.e2e.processes import PATIENCE, Process, free_port, until

DRIVER = shutil.which("WebKitWebDriver")
DISPLAY = shutil.which("Xvfb")
BROWSER = next(Path("/usr/lib").glob("*/webkit2gtk-4.1/MiniBrowser"), None)
WEBKIT = DRIVER and DISPLAY and BROWSER

# Its driver tells nothing of the console, so the document is asked to listen.
LISTEN = """() => {
    const said = (globalThis.complaints = []);
    addEventListener("error", (event) => said.push(event.message));
    addEventListener("unhandledrejection", (event) => said.push(String(event.reason)));
    addEventListener("securitypolicyviolation", (event) => said.push(`the policy forbids ${event.blockedURI}`));
    for (const kind of ["error", "warn"]) console[kind] = (...words) => said.push(words.join(" "));
    for (const kind of ["alert", "confirm", "prompt"]) globalThis[kind] = (words) => said.push(`dialog: ${words}`);
}"""


class WebKit:
    """One browser with one tab; `directory` takes its profile and what is saved."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._stack = ExitStack()
        self._url = f"http://127.0.0.1:{free_port()}"

    def __enter__(self) -> Self:
        assert DRIVER
        assert DISPLAY
        with ExitStack() as stack:
            # It takes a free number, and says which.
            display = stack.enter_context(
                subprocess.Popen(
                    [DISPLAY, "-displayfd", "1", "-screen", "0", "1280x900x24", "-nolisten", "tcp"],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                )
            )
            stack.callback(display.terminate)
            assert display.stdout
            home = str(self.directory)
            env = {"DISPLAY": f":{display.stdout.readline().decode().strip()}", "HOME": home, "XDG_RUNTIME_DIR": home}
            stack.enter_context(Process([DRIVER, f"--port={self._url.rpartition(':')[2]}"], env))
            options = {"webkitgtk:browserOptions": {"binary": str(BROWSER), "args": ["--automation"]}}
            session = until(
                lambda: self._try("POST", "/session", {"capabilities": {"alwaysMatch": options}}), "WebKit's driver"
            )
            self._session = f"/session/{session['sessionId']}"
            stack.callback(self._call, "DELETE", self._session)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def tabs(self) -> list[str]:
        """Return the ids of all tabs and windows."""
        return list(self._call("GET", f"{self._session}/window/handles"))

    @contextmanager
    def tab(self) -> Iterator[None]:
        """Work in another tab for a while, one in the background; then it is closed."""
        before = self._call("GET", f"{self._session}/window")
        made = self._call("POST", f"{self._session}/window/new", {"type": "tab"})
        self._call("POST", f"{self._session}/window", {"handle": made["handle"]})
        try:
            yield
        finally:
            self._call("DELETE", f"{self._session}/window")
            self._call("POST", f"{self._session}/window", {"handle": before})

    def complaints(self) -> list[str]:
        """Return the errors and warnings of a document, and its dialogs, since it was opened."""
        return list(self.evaluate("() => globalThis.complaints"))

    def open(self, url: str) -> None:
        """Load a document into the tab."""
        self._call("POST", f"{self._session}/url", {"url": url})
        self.evaluate(LISTEN)

    def evaluate(self, function: str, *arguments: Any) -> Any:
        """Call a JavaScript function with values that are JSON; returns the value that it promises."""
        script = f"""
            const [arguments_, done] = [[...arguments].slice(0, -1), [...arguments].at(-1)];
            Promise.resolve(({function})(...arguments_)).then(
              (value) => done({{ value }}), (error) => done({{ error: String(error) }}));
        """
        answer = self._call("POST", f"{self._session}/execute/async", {"script": script, "args": list(arguments)})
        assert "error" not in answer, answer["error"]
        return answer.get("value")

    def _try(self, method: str, path: str, body: Any) -> Any:
        try:
            return self._call(method, path, body)
        except urllib.error.URLError:
            return None

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None
