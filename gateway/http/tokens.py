"""JSON Web Tokens: what JWT authorizers of HTTP APIs and Cognito authorizers of REST APIs let in.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-integrate-with-cognito.html
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import urllib3
from anyio import to_thread

from gateway.settings import Settings
from gateway.template.specs import TokenSpec

# joserfc is imported where it is used: a start without such authorizers does not need it.
if TYPE_CHECKING:
    from joserfc.jwk import KeySet

# [D] No other algorithms are taken.
_ALGORITHMS = ["RS256", "RS384", "RS512"]
_AGAIN = 5.0  # seconds before keys are asked for once more because of one that is not among them
Fetch = Callable[[str], Any]


class TokenRefused(Exception):
    """A token lets nobody in: `status` is 401, or 403 where it lacks a scope; one line says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class KeysUnavailable(TokenRefused):
    """An issuer's keys cannot be had; `cause` is for the person at the terminal."""

    def __init__(self, cause: str) -> None:
        # [R] are the words.
        super().__init__(401, "OIDC discovery endpoint communication error")
        self.cause = cause


class Tokens:
    """Checks tokens, with the keys of their issuers. `fetch(url)` returns what JSON is there, or raises OSError."""

    def __init__(self, settings: Settings, fetch: Fetch | None = None, now: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._fetch = fetch or _fetched
        # By the machine's time: others have made the tokens.
        self._now = now
        self._keys: dict[str, tuple[float, KeySet]] = {}

    async def check(self, spec: TokenSpec, token: str) -> dict[str, Any]:
        """Return the claims of a token that lets in. Raises TokenRefused, and KeysUnavailable."""
        from joserfc import jwt
        from joserfc.errors import InvalidKeyIdError, JoseError

        token = token[7:] if token[:7].lower() == "bearer " else token
        # A key may have come since the others were asked for.
        for again in (False, True):
            try:
                keys = await self._keys_of(spec, again=again)
                claims = dict(jwt.decode(token.strip(), keys, algorithms=_ALGORITHMS).claims)
                break
            except InvalidKeyIdError:
                continue
            except (JoseError, ValueError) as error:
                raise TokenRefused(401, f"the token is not valid ({error})") from None
        else:
            raise TokenRefused(401, "the token is signed with a key that its issuer does not have")
        self._check_claims(spec, claims)
        return claims

    def _check_claims(self, spec: TokenSpec, claims: Mapping[str, Any]) -> None:
        now = self._now()
        if claims.get("iss") != spec.issuer:
            raise TokenRefused(401, "the token has another issuer")
        if not isinstance(claims.get("exp"), int | float) or claims["exp"] <= now:
            raise TokenRefused(401, "the token has expired")
        if any(isinstance(claims.get(name), int | float) and claims[name] > now for name in ("nbf", "iat")):
            raise TokenRefused(401, "the token is not valid yet")
        audience = claims.get("aud", claims.get("client_id"))
        if spec.audience and not set(audience if isinstance(audience, list) else [audience]) & set(spec.audience):
            raise TokenRefused(401, "the token does not have a valid audience")
        if spec.scopes:
            given = claims.get("scope", claims.get("scp", ""))
            if not set(given.split() if isinstance(given, str) else given) & set(spec.scopes):
                raise TokenRefused(401 if spec.cognito else 403, "the token has none of the scopes")
        elif spec.cognito and claims.get("token_use") != "id":
            raise TokenRefused(401, "without scopes it has to be an identity token")

    async def _keys_of(self, spec: TokenSpec, *, again: bool) -> KeySet:
        from joserfc.jwk import KeySet

        now = self._now()
        at, keys = self._keys.get(spec.issuer, (0.0, None))
        if keys is not None and now < at + (_AGAIN if again else self._settings.jwt_keys_ttl):
            return keys
        try:
            found = await to_thread.run_sync(self._asked, spec)
            keys = KeySet.import_key_set(found)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise KeysUnavailable(f"{spec.name}: the keys of {spec.issuer} cannot be had: {error}") from None
        self._keys[spec.issuer] = now, keys
        return keys

    def _asked(self, spec: TokenSpec) -> Any:
        url = spec.keys or self._fetch(f"{spec.issuer.rstrip('/')}/.well-known/openid-configuration")["jwks_uri"]
        return self._fetch(url)


def granted(claims: Mapping[str, Any], scopes: tuple[str, ...]) -> dict[str, Any]:
    """Return what an event says of a token: its claims as text, and the scopes that the route asks for."""
    found = {name: _text(value) for name, value in claims.items()}
    given = str(claims.get("scope", "")).split()
    return {"claims": found, "scopes": [scope for scope in given if scope in scopes] or None if scopes else None}


def _text(value: Any) -> str:
    if isinstance(value, list):
        # [R] Go's way to write a list.
        return f"[{' '.join(map(_text, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value)


def _fetched(url: str) -> Any:
    try:
        # [D] The service waits 1.5 s.
        answer = urllib3.PoolManager().request("GET", url, timeout=urllib3.Timeout(1.5), retries=False)
    except urllib3.exceptions.HTTPError as error:
        raise OSError(f"{url}: {error}") from None
    if answer.status != 200:
        raise OSError(f"{url}: status {answer.status}")
    return json.loads(answer.data)
