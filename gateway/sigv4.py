"""Checks Signature Version 4 of requests to execute-api, in a header or in the query, as botocore signs them.

By hand: botocore's own signer takes longer than all else that a call of `@connections` needs.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import functools
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, unquote

from botocore.utils import normalize_url_path

from gateway.settings import Settings

SERVICE = "execute-api"
_ALGORITHM = "AWS4-HMAC-SHA256"
_TIME = "%Y%m%dT%H%M%SZ"
_UNSIGNED = "UNSIGNED-PAYLOAD"
_SPELLED = re.compile(r"[A-Za-z0-9-]+=[^,\s]+")
_LONGEST = 604_800  # [D] seconds for which a signature in the query is valid at most


class SignatureRefused(Exception):
    """The service answers 403: `error_type` names the error, `message` is the service's; `hint` says what to do."""

    def __init__(self, error_type: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it came: `path` and `query` raw, the names of `headers` in any case."""

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    def header(self, name: str) -> str:
        """Return a header's value, empty where there is none."""
        return next((value for given, value in self.headers if given.lower() == name), "")


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a request says about its signature; `scope` is date, Region, service and `aws4_request`."""

    access_key: str
    scope: list[str]
    signed: list[str]
    signature: str
    time: str
    token: str
    query: str
    expires: int | None = None


class Signatures:
    """The signatures that are valid: `secret_of(access_key)` gives a secret or None, `now()` seconds since 1970."""

    def __init__(self, secret_of: Callable[[str], str | None], settings: Settings, now: Callable[[], float]) -> None:
        self._secret_of = secret_of
        self._settings = settings
        self._now = now

    def check(self, request: SignedRequest, service: str = SERVICE) -> str:
        """Return the access key that signed the request for a service. Raises SignatureRefused."""
        claim = _claim(request)
        secret = self._secret_of(claim.access_key)
        # The keys of a role's session are nothing without its token.
        if secret is None or (claim.access_key.startswith("ASIA") and not claim.token):
            raise SignatureRefused(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
                f"nobody here has the access key {claim.access_key}: sign with local / local, or pass --no-sigv4",
            )
        self._check_scope(claim, service)
        self._check_time(claim)
        if not self._is_signed(request, claim, secret):
            raise SignatureRefused(
                "InvalidSignatureException",
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
                "Access Key and signing method. Consult the service documentation for details.",
                f"the secret that belongs to {claim.access_key} is another, or what was signed was changed on its way",
            )
        return claim.access_key

    def _check_scope(self, claim: _Claim, wanted: str) -> None:
        region = self._settings.region
        _, named, service, _ = claim.scope
        problem = ""
        if named != region:
            problem = f"Credential should be scoped to a valid region, not '{named}'. "
        elif service != wanted:
            problem = f"Credential should be scoped to correct service: '{wanted}'. "
        if problem:
            raise SignatureRefused(
                "InvalidSignatureException", problem, f"sign for the service {wanted} in the Region {region}"
            )

    def _check_time(self, claim: _Claim) -> None:
        skew = self._settings.signature_skew
        signed = _moment(claim.time)
        if signed is None:
            raise _incomplete(f"Date must be in ISO-8601 'basic format'. Got '{claim.time}'.")
        now = self._now()
        words, hint = "", "the clocks of the caller and of this gateway differ"
        if claim.time[:8] != claim.scope[0]:
            words = f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date: '{claim.time}'."
            hint = "sign with one date"
        elif signed > now + skew:
            words = f"Signature not yet current: {claim.time} is still later than {_written(now + skew)} "
            words += f"({_written(now)} + {skew / 60:g} min.)"
        elif claim.expires is not None:
            if signed + claim.expires < now:
                words = f"Signature expired: {_written(signed + claim.expires)} is now earlier than {_written(now)}"
                hint = "sign a new address"
        elif signed < now - skew:
            words = f"Signature expired: {claim.time} is now earlier than {_written(now - skew)} "
            words += f"({_written(now)} - {skew / 60:g} min.)"
        if words:
            raise SignatureRefused("InvalidSignatureException", words, hint)

    def _is_signed(self, request: SignedRequest, claim: _Claim, secret: str) -> bool:
        digest = hashlib.sha256(request.body).hexdigest()
        stated = request.header("x-amz-content-sha256")
        if stated not in ("", _UNSIGNED, digest):
            return False
        rest = _canonical_rest(request, claim, stated if "x-amz-content-sha256" in claim.signed and stated else digest)
        key = _signing_key(secret, *claim.scope[:3])
        given = claim.signature.encode()
        return any(
            hmac.compare_digest(_signature(key, claim, f"{request.method}\n{path}\n{rest}"), given)
            for path in _canonical_paths(request.path)
        )


# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#create-canonical-request


def _canonical_paths(path: str) -> Iterator[str]:
    """Yield a path as its signer may have spelled it; the signer encodes each once more.

    SDKs sign `@connections/…%3D` or `%40connections/…%3D` and then send the other, or sign the bare `=`.
    """
    yield _canonical_path(path)
    bare = unquote(path)
    for spelling in (quote(bare, safe="/@-_.~"), quote(bare, safe="/-_.~"), bare):
        if spelling != path:
            yield _canonical_path(spelling)


def _canonical_path(path: str) -> str:
    return quote(normalize_url_path(path), safe="/~")


def _canonical_rest(request: SignedRequest, claim: _Claim, digest: str) -> str:
    """Return what comes after the path in a canonical request: the query, those headers that were signed, the body."""
    query = "&".join("=".join(pair) for pair in sorted(_pairs(claim.query)))
    values: dict[str, list[str]] = {}
    for given, value in request.headers:
        if (name := given.lower()) in claim.signed:
            values.setdefault(name, []).append(" ".join(value.split()))
    names = sorted(values)
    headers = "\n".join([f"{name}:{','.join(values[name])}" for name in names])
    return f"{query}\n{headers}\n\n{';'.join(names)}\n{digest}"


def _pairs(query: str) -> Iterator[tuple[str, str]]:
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        yield name, value


@functools.lru_cache(maxsize=256)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _signature(key: bytes, claim: _Claim, canonical_request: str) -> bytes:
    digest = hashlib.sha256(canonical_request.encode()).hexdigest()
    text = f"{_ALGORITHM}\n{claim.time}\n{'/'.join(claim.scope)}\n{digest}"
    return hmac.digest(key, text.encode(), "sha256").hex().encode()


@functools.lru_cache(maxsize=256)
def _moment(time: str) -> float | None:
    """Return seconds since 1970, None for what is no time."""
    try:
        return datetime.strptime(time, _TIME).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _claim(request: SignedRequest) -> _Claim:
    given = request.header("authorization")
    fields = dict(parse_qsl(request.query, keep_blank_values=True)) if request.query else {}
    if given.startswith(_ALGORITHM):
        spelled = _SPELLED.findall(given.removeprefix(_ALGORITHM))
        parts = dict(part.split("=", 1) for part in spelled)
        missing = [name for name in ("Credential", "Signature", "SignedHeaders") if name not in parts]
        if missing:
            wants = " ".join(f"Authorization header requires '{name}' parameter." for name in missing)
            raise _incomplete(f"{wants} Authorization={given}")
        time, token = request.header("x-amz-date"), request.header("x-amz-security-token")
        query, expires = request.query, None
        if not time:
            raise _incomplete(
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
                f"Authorization={given}"
            )
    elif fields.get("X-Amz-Algorithm") == _ALGORITHM:
        parts = {name: fields.get(f"X-Amz-{name}", "") for name in ("Credential", "Signature", "SignedHeaders")}
        missing = [f"X-Amz-{name}" for name in ("Date", "Expires") if not fields.get(f"X-Amz-{name}")]
        missing += [f"X-Amz-{name}" for name, value in parts.items() if not value]
        if missing:
            raise _incomplete(" ".join(f"AWS query-string parameters must include '{name}'." for name in missing))
        time, token = fields["X-Amz-Date"], fields.get("X-Amz-Security-Token", "")
        query = "&".join(pair for pair in request.query.split("&") if not pair.startswith("X-Amz-Signature="))
        expires = _lifetime(fields)
    elif given:
        raise _incomplete(f"Authorization header requires 'Credential' parameter. Authorization={given}")
    else:
        raise SignatureRefused(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
            "the request is not signed: use an AWS SDK with the credentials local / local, or pass --no-sigv4",
        )
    access_key, *scope = parts["Credential"].split("/")
    if len(scope) != 4 or scope[3] != "aws4_request":
        raise _incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. "
            f"keyid/date/region/service/term, got '{parts['Credential']}'"
        )
    signed = parts["SignedHeaders"].lower().split(";")
    if "host" not in signed:
        raise SignatureRefused(
            "InvalidSignatureException", "'Host' must be a 'SignedHeader' in the AWS Authorization.", "sign the host"
        )
    return _Claim(access_key, scope, signed, parts["Signature"], time, token, query, expires)


def _lifetime(fields: Mapping[str, str]) -> int:
    text = fields["X-Amz-Expires"]
    if not text.isdecimal() or not 0 < int(text) <= _LONGEST:
        raise _incomplete(f"X-Amz-Expires must be between 1 and {_LONGEST} seconds, not '{text}'")
    return int(text)


def _incomplete(message: str) -> SignatureRefused:
    return SignatureRefused("IncompleteSignatureException", message, "let an AWS SDK sign the request")


def _written(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(_TIME)
