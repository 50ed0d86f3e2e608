"""Runs an application on python-socketio's own server: python -m tests.e2e.reference FILE.py:NAME PORT."""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import socketio
from werkzeug.serving import make_server


def load(path: Path, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def main(application: str, port: int) -> None:
    path, _, name = application.rpartition(":")
    server = make_server("127.0.0.1", port, socketio.WSGIApp(load(Path(path), name)), threaded=True)
    print(f"Ready: http://127.0.0.1:{port}/", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        os._exit(0)  # closing would wait for the threads of its WebSockets, which may outlive their clients


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
