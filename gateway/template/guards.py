"""What guards a route of an HTTP or a REST API: authorizers, tokens of an issuer or a pool, signatures, API keys."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.errors import TemplateError
from gateway.template.specs import HttpAuthorizerSpec, TokenSpec
from gateway.template.stack import Stack


@dataclass(frozen=True, slots=True)
class Guard:
    """An authorizer, a signature, an API key, or `closed`: the name of what guards a route and is not run here."""

    authorizer: HttpAuthorizerSpec | TokenSpec | None = None
    iam: bool = False
    closed: str = ""
    key: bool = False

    def also(self, other: "Guard") -> "Guard":
        """Return what both ask for."""
        return Guard(
            other.authorizer or self.authorizer,
            other.iam or self.iam,
            other.closed or self.closed,
            other.key or self.key,
        )


OPEN = Guard()


def token_guard(stack: Stack, name: str, given: Mapping[str, Any], scopes: tuple[str, ...]) -> Guard | None:
    """Return the guard of an authorizer that takes tokens, from its properties in OpenAPI's spelling; None for others.

    Raises TemplateError.
    """
    kind = str(given.get("type", "")).lower()
    if kind == "jwt":
        asked = {key[:1].lower() + key[1:]: value for key, value in (given.get("jwtConfiguration") or {}).items()}
        issuer = str(asked.get("issuer") or "")
        if not issuer.startswith(("https://", "http://")):
            raise TemplateError(f"its issuer is {issuer or 'not said'}")
        audience = tuple(map(str, asked.get("audience") or []))
        sources = given.get("identitySource") or "$request.header.Authorization"
        listed = (sources,) if isinstance(sources, str) else tuple(map(str, sources))
        return Guard(TokenSpec(name, issuer, audience, listed, scopes, _keys(stack, issuer)))
    if kind != "cognito_user_pools":
        return None
    pools = given.get("providerARNs") or []
    if len(pools) != 1:
        raise TemplateError(f"it has {len(pools)} user pools")
    # `arn:aws:cognito-idp:{region}:{account}:userpool/{id}`
    parts = str(pools[0]).split(":")
    if len(parts) != 6:
        raise TemplateError(f"its user pool is {pools[0]}")
    issuer = f"https://cognito-idp.{parts[3]}.amazonaws.com/{parts[5].removeprefix('userpool/')}"
    header = given.get("identitySource") or f"method.request.header.{given.get('header') or 'Authorization'}"
    return Guard(TokenSpec(name, issuer, (), (str(header),), scopes, _keys(stack, issuer), cognito=True))


def _keys(stack: Stack, issuer: str) -> str:
    """Return where the keys of a pool of this template are: on the local AWS. Others say it themselves."""
    for name in stack.of_type("AWS::Cognito::UserPool"):
        pool = str(stack.reference(name))
        if issuer.rstrip("/").endswith(f".amazonaws.com/{pool}"):
            return f"{stack.endpoint}/{pool}/.well-known/jwks.json"
    return ""
