"""Signatures, made by botocore and by hand, and what is wrong with them."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote, urlencode, urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.settings import Settings
from gateway.sigv4 import SignatureRefused, Signatures, SignedRequest

ID = "L0SM9cOFvHcCIhw="
SECRETS = {"local": "local", "ASIALOCAL": "role"}
BODY = b"hello"


def checker(offset: float = 0) -> Signatures:
    """Return what checks signatures `offset` seconds from now."""
    return Signatures(SECRETS.get, Settings(), lambda: time.time() + offset)


def signed(
    url: str = f"http://127.0.0.1:3000/live/@connections/{ID}",
    key: str = "local",
    secret: str = "local",
    token: str | None = None,
    service: str = "execute-api",
    region: str = "us-east-1",
    query: bool = False,
    method: str = "POST",
    body: bytes = BODY,
    headers: dict[str, str] | None = None,
) -> SignedRequest:
    """Return a request as an SDK sends it."""
    request = AWSRequest(method, url, data=body, headers={"User-Agent": "sdk", **(headers or {})})
    credentials = Credentials(key, secret, token)
    if query:
        SigV4QueryAuth(credentials, service, region, expires=60).add_auth(request)
    else:
        SigV4Auth(credentials, service, region).add_auth(request)
    parts = urlsplit(str(request.url))
    sent = [("Host", parts.netloc), *((name, str(value)) for name, value in request.headers.items())]
    return SignedRequest(method, parts.path, parts.query, sent, body)


def changed(request: SignedRequest, name: str, value: str | None) -> SignedRequest:
    """Return the request with another value of a header, or without it."""
    kept = [(given, old) for given, old in request.headers if given.lower() != name.lower()]
    return replace(request, headers=kept if value is None else [*kept, (name, value)])


def refusal(request: SignedRequest, offset: float = 0) -> SignatureRefused:
    with pytest.raises(SignatureRefused) as error:
        checker(offset).check(request)
    return error.value


# ---- signed as it should be


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("query", [False, True])
def test_what_botocore_signs_is_taken(method: str, query: bool) -> None:
    body = BODY if method == "POST" and not query else b""
    request = signed(method=method, query=query, body=body)
    assert checker().check(request) == "local"


@pytest.mark.parametrize("path", [f"@connections/{quote(ID)}", f"@connections/{ID}", f"%40connections/{quote(ID)}"])
@pytest.mark.parametrize("sent", [f"@connections/{quote(ID)}", f"@connections/{ID}", f"%40connections/{quote(ID)}"])
def test_each_spelling_of_a_path_may_be_signed_and_each_sent(path: str, sent: str) -> None:
    request = signed(f"http://127.0.0.1:3000/live/{path}")
    assert checker().check(replace(request, path=f"/live/{sent}")) == "local"
    refusal(replace(request, path=f"/other/{sent}"))


def test_a_session_has_a_token() -> None:
    request = signed(key="ASIALOCAL", secret="role", token="token")
    assert checker().check(request) == "ASIALOCAL"
    assert refusal(changed(request, "X-Amz-Security-Token", "other")).error_type == "InvalidSignatureException"
    assert refusal(signed(key="ASIALOCAL", secret="role")).error_type == "UnrecognizedClientException"
    assert checker().check(signed(key="ASIALOCAL", secret="role", token="token", query=True, body=b"")) == "ASIALOCAL"


def test_the_hash_of_the_body_may_be_a_header() -> None:
    digest = hashlib.sha256(BODY).hexdigest()
    assert checker().check(signed(headers={"X-Amz-Content-SHA256": digest})) == "local"
    request = signed(headers={"X-Amz-Content-SHA256": digest})
    assert refusal(replace(request, body=b"other")).error_type == "InvalidSignatureException"
    assert checker().check(signed(headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})) == "local"


def test_the_users_own_headers_and_query_are_signed_too() -> None:
    request = signed("http://127.0.0.1:3000/live?b=2&a=1", headers={"X-Own": "a  b"})
    assert checker().check(request) == "local"
    assert refusal(replace(request, query="b=2&a=2")).error_type == "InvalidSignatureException"
    assert refusal(changed(request, "X-Own", "c")).error_type == "InvalidSignatureException"


_WORDS = st.text("abcXYZ019-_.~ =%+/@:;é,", max_size=12)


@settings(deadline=None)  # botocore's first signature loads much
@given(
    path=st.lists(_WORDS.map(lambda word: quote(word, safe="@=~")), min_size=1, max_size=4),
    query=st.lists(st.tuples(_WORDS, _WORDS), max_size=3),
    headers=st.dictionaries(
        st.sampled_from(["X-Own", "x-own-too", "Content-Type", "X-Amz-Content-SHA256"]),
        st.text("abc  ,;=\t19", max_size=12),
    ),
    body=st.binary(max_size=40),
)
def test_whatever_botocore_signs_is_taken(
    path: list[str], query: list[tuple[str, str]], headers: dict[str, str], body: bytes
) -> None:
    if "X-Amz-Content-SHA256" in headers:
        headers["X-Amz-Content-SHA256"] = hashlib.sha256(body).hexdigest()
    url = f"http://127.0.0.1:3000/{'/'.join(path)}" + (f"?{urlencode(query)}" if query else "")
    request = signed(url, body=body, headers=headers)
    assert checker().check(request) == "local"
    refusal(replace(request, method="PUT"))
    refusal(replace(request, path=f"{request.path}x"))


# ---- what is wrong


@pytest.mark.parametrize(
    ("spoil", "name", "words"),
    [
        (
            lambda: changed(signed(), "Authorization", None),
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        ),
        (
            lambda: signed(key="AKIAOTHER"),
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        (
            lambda: signed(secret="other"),
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details.",
        ),
        (
            lambda: replace(signed(), body=b"changed on its way"),
            "InvalidSignatureException",
            "The request signature we calculated does not match",
        ),
        (lambda: changed(signed(), "Host", "other"), "InvalidSignatureException", "The request signature"),
        (
            lambda: changed(signed(), "Authorization", signed().header("authorization")[:-1] + "é"),
            "InvalidSignatureException",
            "The request signature",
        ),
        (
            lambda: signed(region="eu-west-1"),
            "InvalidSignatureException",
            "Credential should be scoped to a valid region, not 'eu-west-1'. ",
        ),
        (
            lambda: signed(service="iotdevicegateway"),
            "InvalidSignatureException",
            "Credential should be scoped to correct service: 'execute-api'. ",
        ),
        (
            lambda: changed(signed(), "Authorization", "Bearer abc"),
            "IncompleteSignatureException",
            "Authorization header requires 'Credential' parameter. Authorization=Bearer abc",
        ),
        (
            lambda: changed(signed(), "Authorization", "AWS4-HMAC-SHA256 Credential=local"),
            "IncompleteSignatureException",
            "Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders'",
        ),
        (
            lambda: changed(signed(), "X-Amz-Date", None),
            "IncompleteSignatureException",
            "Authorization header requires",
        ),
        (lambda: changed(signed(), "X-Amz-Date", "today"), "IncompleteSignatureException", "Date must be in ISO-8601"),
        (
            lambda: changed(signed(), "X-Amz-Date", "20200101T000000Z"),
            "InvalidSignatureException",
            "Date in Credential scope does not match YYYYMMDD",
        ),
        (
            lambda: replace(signed(query=True, body=b""), query="X-Amz-Algorithm=AWS4-HMAC-SHA256"),
            "IncompleteSignatureException",
            "AWS query-string parameters must include 'X-Amz-Date'.",
        ),
    ],
)
def test_refusals_in_the_services_words(spoil: Callable[[], SignedRequest], name: str, words: str) -> None:
    error = refusal(spoil())
    assert error.error_type == name
    assert error.message.startswith(words)
    assert error.hint


def test_a_signature_is_good_for_five_minutes() -> None:
    for offset in (-290, 290):
        assert checker(offset).check(signed()) == "local"
    assert refusal(signed(), 310).message.startswith("Signature expired: ")
    assert "+ 5 min.)" in refusal(signed(), -310).message


def test_a_signature_in_the_query_is_good_for_as_long_as_it_says() -> None:
    request = signed(query=True, body=b"")
    assert checker(50).check(request) == "local"
    assert refusal(request, 70).message.startswith("Signature expired: ")
    for seconds in ("0", "604801", "x"):
        asked = replace(request, query=request.query.replace("X-Amz-Expires=60", f"X-Amz-Expires={seconds}"))
        assert refusal(asked).error_type == "IncompleteSignatureException"
    assert refusal(replace(request, query=request.query.replace("=60", "=61"))).message.startswith("The request")
