"""The gateway's port speaks TLS and plain HTTP, and a stock SDK reaches `@connections` by both."""

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import uvloop
from botocore.config import Config
from botocore.exceptions import ClientError, SSLError
from cryptography import x509
from websockets.asyncio.client import connect

from gateway import tls
from gateway.tls import Certificate, certificate
from tests.gateway.conftest import ROOT
from tests.gateway.websocket.cores import SETTINGS, Functions, until
from tests.gateway.websocket.small import serving

ONCE = Config(retries={"total_max_attempts": 1})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"), ["127.0.0.1"])


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return ("asyncio", {"use_uvloop": request.param == "uvloop"})


def trusting(made: Certificate) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=made.authority)


def management(url: str, verify: Any = None, key: str = "local") -> Any:
    session = boto3.Session(aws_access_key_id=key, aws_secret_access_key="local", region_name="us-east-1")
    return session.client("apigatewaymanagementapi", endpoint_url=url, verify=verify, config=ONCE)


pytestmark = pytest.mark.anyio


async def test_one_port_serves_both(made: Certificate, anyio_backend: Any) -> None:
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop) is anyio_backend[1]["use_uvloop"]
    functions = Functions(default={"body": "answer"})
    async with serving(made, functions) as (small, port):
        for scheme, context in (("ws", None), ("wss", trusting(made))):
            async with connect(f"{scheme}://127.0.0.1:{port}/live", ssl=context, proxy=None) as client:
                await client.send("x")
                assert await client.recv() == "answer"
                (connection,) = small.api.connections.all()
                url = f"{scheme.replace('ws', 'http')}://127.0.0.1:{port}/live"
                sdk = await asyncio.to_thread(management, url, str(made.bundle))
                await asyncio.to_thread(sdk.post_to_connection, ConnectionId=connection.id, Data=b"posted")
                assert await client.recv() == "posted"
                described = await asyncio.to_thread(sdk.get_connection, ConnectionId=connection.id)
                assert described["Identity"]["SourceIp"] == "127.0.0.1"
                await asyncio.to_thread(sdk.delete_connection, ConnectionId=connection.id)
                await client.wait_closed()
                assert client.close_code == 1000
    forwarded = [
        event["headers"]["X-Forwarded-Proto"]
        for event in functions.events
        if event["requestContext"]["eventType"] == "CONNECT"
    ]
    assert forwarded == ["http", "https"]


async def test_a_client_that_keeps_its_connection_and_sleeps_does_not_hold_up_the_end(
    made: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    def asked(port: int) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", port), timeout=10)
        kept = trusting(made).wrap_socket(plain, server_hostname="127.0.0.1")
        kept.sendall(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kept.recv(12) == b"HTTP/1.1 404"
        return kept

    async with serving(made) as (_, port):
        # Nobody reads from it any more: it does not answer the end of TLS.
        kept = await asyncio.to_thread(asked, port)
    assert "graceful shutdown exceeded" not in caplog.text
    kept.close()


async def test_a_close_over_tls_does_not_wait_for_the_client(made: Certificate) -> None:
    async with serving(made) as (small, port):
        async with connect(f"wss://127.0.0.1:{port}/live", ssl=trusting(made), proxy=None) as client:
            began = time.monotonic()
            await client.close(4000, "mine")
        assert time.monotonic() - began < SETTINGS.close_wait / 2
        await until(lambda: not small.api.connections.all())


async def test_a_client_that_does_not_trust_the_authority_goes_and_others_are_served(made: Certificate) -> None:
    async with serving(made) as (_, port):
        url = f"https://127.0.0.1:{port}/live"
        sdk = await asyncio.to_thread(management, url)
        with pytest.raises(SSLError):
            await asyncio.to_thread(sdk.get_connection, ConnectionId="AAAAAAAAAAAAAAA=")
        async with httpx.AsyncClient(verify=trusting(made)) as client:
            assert (await client.get(url)).status_code == 426


async def test_silent_and_strange_connections_hold_up_nobody(made: Certificate) -> None:
    async with serving(made) as (_, port):
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        gone = socket.create_connection(("127.0.0.1", port))
        gone.close()
        strange = socket.create_connection(("127.0.0.1", port))
        strange.sendall(b"\x16\x03\x01no handshake")
        async with connect(f"ws://127.0.0.1:{port}/live", proxy=None) as client:
            await client.send("x")
            assert await client.recv() == "answer"
    for connection in (*silent, strange):
        connection.close()


async def test_hundreds_of_connections_open_fast(made: Certificate) -> None:
    async with serving(made) as (small, port):
        loop = asyncio.get_running_loop()
        began = loop.time()
        request = (
            f"GET /live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )

        async def opened() -> asyncio.StreamWriter:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request.encode())
            assert b" 101 " in await reader.readline()
            return writer

        writers = await asyncio.gather(*(opened() for _ in range(400)))
        took = loop.time() - began
        assert len(small.api.connections) == 400
        for writer in writers:
            writer.close()
    # Of both ends, on a machine that does other things too.
    assert took < 4


# ---- signatures, as the shell checks them


async def test_unsigned_calls_are_refused_with_the_services_words(made: Certificate) -> None:
    async with serving(made) as (small, port):
        url = f"http://127.0.0.1:{port}/live"
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"{url}/@connections/AAAAAAAAAAAAAAA=", content=b"x")
        assert (answer.status_code, answer.json()) == (403, {"message": "Missing Authentication Token"})
        assert answer.headers["x-amzn-ErrorType"] == "MissingAuthenticationTokenException"
        sdk = await asyncio.to_thread(management, url, None, "AKIAOTHER")
        with pytest.raises(ClientError) as error:
            await asyncio.to_thread(sdk.post_to_connection, ConnectionId="AAAAAAAAAAAAAAA=", Data=b"x")
        assert error.value.response["Error"]["Code"] == "UnrecognizedClientException"
        assert [refusal.error_type for refusal in small.refusals] == [
            "MissingAuthenticationTokenException",
            "UnrecognizedClientException",
        ]
        small.signatures = None
        async with httpx.AsyncClient() as client:
            assert (await client.post(f"{url}/@connections/AAAAAAAAAAAAAAA=", content=b"x")).status_code == 410


# ---- files


def test_the_certificate_is_made_once_and_again_when_it_is_old(tmp_path: Path) -> None:
    made = certificate(tmp_path, ["127.0.0.1"])
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert certificate(tmp_path, ["127.0.0.1"]) == made
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    past = time.time() - 301 * 86400
    os.utime(made.leaf, (past, past))
    certificate(tmp_path, ["127.0.0.1"])
    assert made.leaf.read_bytes() != before[made.leaf.name]
    assert made.authority.read_bytes() == before["ca.pem"]
    # Another authority needs everything anew.
    (tmp_path / "ca.key").unlink()
    certificate(tmp_path, ["127.0.0.1"])
    assert made.authority.read_bytes() != before["ca.pem"]
    assert made.bundle.read_bytes().endswith(made.authority.read_bytes())
    assert {oct(file.stat().st_mode & 0o777) for file in tmp_path.glob("*.[kp]e*")} == {"0o600"}


def test_whom_the_certificate_names(tmp_path: Path) -> None:
    made = certificate(tmp_path, ["gateway.example"])
    (leaf,) = x509.load_pem_x509_certificates(made.leaf.read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "*.localhost", "gateway.example"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]


def test_functions_trust_it_and_the_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    made = certificate(tmp_path, [])
    assert made.bundle.read_bytes().count(b"BEGIN CERTIFICATE") > 100
    # A user with authorities of their own has those in place of Mozilla's.
    monkeypatch.setenv("SSL_CERT_FILE", str(made.authority))
    own = certificate(tmp_path, [])
    assert own.bundle.read_bytes().count(b"BEGIN CERTIFICATE") == 2
    assert own.variables == {
        "AWS_CA_BUNDLE": str(own.bundle),
        "REQUESTS_CA_BUNDLE": str(own.bundle),
        "SSL_CERT_FILE": str(own.bundle),
        "NODE_EXTRA_CA_CERTS": str(own.authority),
    }


def test_with_files_from_before_a_start_imports_no_cryptography(tmp_path: Path) -> None:
    certificate(tmp_path, [])
    code = (
        "import sys, pathlib; from gateway.tls import certificate\n"
        "certificate(pathlib.Path(sys.argv[1]), []).context()\n"
        "assert 'cryptography' not in sys.modules"
    )
    root = Path(tls.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=root)


# ---- the JavaScript SDK

SDK = ROOT / "node_modules" / "@aws-sdk" / "client-apigatewaymanagementapi"
SCRIPT = """
const { ApiGatewayManagementApiClient: Client, PostToConnectionCommand: Post, GetConnectionCommand: Get, GoneException }
  = require("@aws-sdk/client-apigatewaymanagementapi");
const [endpoint, id] = process.argv.slice(1);
(async () => {
  const client = new Client({ endpoint });
  await client.send(new Post({ ConnectionId: id, Data: "posted" }));
  const known = await client.send(new Get({ ConnectionId: id }));
  const gone = await client.send(new Post({ ConnectionId: "AAAAAAAAAAAAAAA=", Data: "x" })).catch((error) => error);
  console.log(known.Identity.SourceIp, gone instanceof GoneException);
})();
"""


@pytest.mark.skipif(not SDK.is_dir(), reason="npm has not installed @aws-sdk/client-apigatewaymanagementapi")
async def test_the_javascript_sdk_posts_by_tls(made: Certificate) -> None:
    async with (
        serving(made) as (small, port),
        connect(f"wss://127.0.0.1:{port}/live", ssl=trusting(made), proxy=None) as client,
    ):
        await until(lambda: small.api.connections.all())
        (connection,) = small.api.connections.all()
        keys = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_REGION": "us-east-1"}
        node = await asyncio.create_subprocess_exec(
            "node",
            "-e",
            SCRIPT,
            f"https://127.0.0.1:{port}/live",
            connection.id,
            cwd=ROOT,
            env={**os.environ, **keys, **made.variables},
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await node.communicate()
        assert output.split() == [b"127.0.0.1", b"true"]
        assert await client.recv() == "posted"
