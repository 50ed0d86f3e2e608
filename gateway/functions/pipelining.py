"""The Runtime API for a Python function's process, with an answer and the wait for the next event in one write.

Takes the place of the extension module that AWS's runtime calls it by, which waits for the answer's receipt in between:
two more switches between the processes. And the connection is no TCP: together, half of a short invocation's time.
Stdlib only.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import socket

_PREFIX = "/2018-06-01/runtime/invocation"
_NEXT = f"GET {_PREFIX}/next HTTP/1.1\r\n\r\n".encode()
_CHUNK = 262144


class Pipeline:
    """The Runtime API by a connected socket; the methods are those of the module `runtime_client`."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._answer = b""
        self._received = b""

    def next(self) -> tuple[bytes, dict[str, str | int]]:
        """Send the last invocation's answer, and return the next event and its headers. Raises OSError."""
        answer, self._answer = self._answer, b""
        self._socket.sendall(answer + _NEXT)
        if answer:
            self._read()
        body, headers = self._read()
        # The extension module gives a number here, and the runtime calculates with it.
        return body, {**headers, "Lambda-Runtime-Deadline-Ms": int(headers["Lambda-Runtime-Deadline-Ms"])}

    def post_invocation_result(
        self, invoke_id: str, data: bytes, content_type: str, invocation_id: str | None = None
    ) -> None:
        """Keep a result, which goes with the wait for the next event."""
        self._post(f"{invoke_id}/response", data, f"Content-Type: {content_type}\r\n")

    def post_error(self, invoke_id: str, error: str, xray_fault: str, invocation_id: str | None = None) -> None:
        """Keep an error, which goes with the wait for the next event."""
        self._post(f"{invoke_id}/error", error.encode(), "Content-Type: application/json\r\n")

    def _post(self, path: str, body: bytes, header: str) -> None:
        head = f"POST {_PREFIX}/{path} HTTP/1.1\r\n{header}Content-Length: {len(body)}\r\n\r\n"
        self._answer = head.encode() + body

    def _read(self) -> tuple[bytes, dict[str, str]]:
        received = self._received
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._more()
        status, *lines = received[:end].decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        size = end + 4 + int(headers["Content-Length"])
        if len(received) < size:
            parts = [received]
            length = len(received)
            while length < size:
                parts.append(self._more())
                length += len(parts[-1])
            received = b"".join(parts)
        self._received = received[size:]
        if not status.startswith("HTTP/1.1 2"):
            raise OSError(f"the Runtime API answered {status}")
        return received[end + 4 : size], headers

    def _more(self) -> bytes:
        chunk = self._socket.recv(_CHUNK)
        if not chunk:
            raise OSError("the Runtime API has closed the connection")
        return chunk
