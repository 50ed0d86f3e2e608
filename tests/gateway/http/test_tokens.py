"""JSON Web Tokens: who is let in by which."""

import json
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey

from gateway.http.tokens import KeysUnavailable, TokenRefused, Tokens, granted
from gateway.settings import Settings
from gateway.template.specs import TokenSpec

pytestmark = pytest.mark.anyio
ISSUER = "https://issuer.example/pool"
NOW = 1_700_000_000.0
KEY, OTHER = (RSAKey.generate_key(2048, {"kid": kid, "alg": "RS256", "use": "sig"}) for kid in ("one", "two"))
SPEC = TokenSpec("Jwt", ISSUER, ("app",))
GOOD = {"iss": ISSUER, "aud": "app", "exp": NOW + 60, "iat": NOW, "sub": "me"}


class Issuer:
    """An issuer's addresses, and what was asked of them."""

    def __init__(self, *keys: RSAKey) -> None:
        self.asked: list[str] = []
        self.keys = list(keys)
        self.now = NOW
        self.tokens = Tokens(Settings(), self.fetch, lambda: self.now)

    def fetch(self, url: str) -> Any:
        self.asked.append(url)
        if url.endswith("/openid-configuration"):
            return {"jwks_uri": "https://issuer.example/keys"}
        if not self.keys:
            raise OSError("nobody there")
        return KeySet([*self.keys]).as_dict(private=False)


def token(claims: dict[str, Any], key: RSAKey = KEY) -> str:
    return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)


async def test_a_token_lets_in_and_its_issuers_keys_are_kept() -> None:
    issuer = Issuer(KEY)
    for prefix in ("Bearer ", ""):
        assert await issuer.tokens.check(SPEC, prefix + token(GOOD)) == GOOD
    assert issuer.asked == [f"{ISSUER}/.well-known/openid-configuration", "https://issuer.example/keys"]
    issuer.now += 7201
    await issuer.tokens.check(SPEC, token(GOOD | {"exp": issuer.now + 1}))
    assert len(issuer.asked) == 4


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"iss": "https://other.example"}, "another issuer"),
        ({"exp": NOW}, "has expired"),
        ({"exp": None}, "has expired"),
        ({"nbf": NOW + 1}, "not valid yet"),
        ({"iat": NOW + 1}, "not valid yet"),
        ({"aud": "web"}, "valid audience"),
        ({"aud": ["web", "tv"]}, "valid audience"),
        ({"aud": None, "client_id": "app"}, ""),
        ({"aud": ["web", "app"]}, ""),
    ],
)
async def test_claims(changes: dict[str, Any], why: str) -> None:
    claims = {name: value for name, value in (GOOD | changes).items() if value is not None}
    if not why:
        assert await Issuer(KEY).tokens.check(SPEC, token(claims)) == claims
        return
    with pytest.raises(TokenRefused, match=why) as refused:
        await Issuer(KEY).tokens.check(SPEC, token(claims))
    assert refused.value.status == 401


async def test_scopes() -> None:
    spec = TokenSpec("Jwt", ISSUER, ("app",), scopes=("read", "write"))
    tokens = Issuer(KEY).tokens
    for claim in ({"scope": "openid read"}, {"scp": ["write"]}):
        await tokens.check(spec, token(GOOD | claim))
    with pytest.raises(TokenRefused) as refused:
        await tokens.check(spec, token(GOOD | {"scope": "openid"}))
    assert refused.value.status == 403


async def test_a_pools_tokens() -> None:
    spec = TokenSpec("Pool", ISSUER, keys="http://127.0.0.1:5000/pool/.well-known/jwks.json", cognito=True)
    issuer = Issuer(KEY)
    await issuer.tokens.check(spec, token(GOOD | {"token_use": "id"}))
    assert issuer.asked == [spec.keys]
    with pytest.raises(TokenRefused, match="identity token"):
        await issuer.tokens.check(spec, token(GOOD | {"token_use": "access"}))


@pytest.mark.parametrize("text", ["", "Bearer", "a.b.c", token(GOOD)[:-4] + "AAAA", token(GOOD, OTHER)])
async def test_what_is_no_token_of_the_issuers(text: str) -> None:
    with pytest.raises(TokenRefused):
        await Issuer(KEY).tokens.check(SPEC, text)


async def test_no_other_algorithm_counts() -> None:
    shared = OctKey.import_key("secret" * 8, {"kid": "one"})
    text = jwt.encode({"alg": "HS256", "kid": "one"}, GOOD, shared)
    with pytest.raises(TokenRefused, match="not valid"):
        await Issuer(KEY).tokens.check(SPEC, text)


async def test_a_key_that_came_later_is_found() -> None:
    issuer = Issuer(KEY)
    await issuer.tokens.check(SPEC, token(GOOD))
    issuer.keys = [OTHER]
    with pytest.raises(TokenRefused, match="a key that its issuer does not have"):
        await issuer.tokens.check(SPEC, token(GOOD, OTHER))
    issuer.now += 6
    await issuer.tokens.check(SPEC, token(GOOD, OTHER))


async def test_keys_that_cannot_be_had() -> None:
    with pytest.raises(KeysUnavailable, match="communication error") as refused:
        await Issuer().tokens.check(SPEC, token(GOOD))
    assert refused.value.cause == f"Jwt: the keys of {ISSUER} cannot be had: nobody there"


def test_what_an_event_says_of_it() -> None:
    claims = {"sub": "me", "exp": 5, "groups": ["a", "b"], "verified": True, "scope": "x read"}
    texts = {"sub": "me", "exp": "5", "groups": "[a b]", "verified": "true", "scope": "x read"}
    assert granted(claims, ()) == {"claims": texts, "scopes": None}
    assert granted(claims, ("read", "write")) == {"claims": texts, "scopes": ["read"]}
    json.dumps(texts)
