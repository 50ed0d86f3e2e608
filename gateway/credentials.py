"""The credentials that functions get: each process has its own, so a call of AWS tells which invocation made it."""

import base64
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

_CREDENTIAL = re.compile(r"\bCredential=([^/,\s]+)/")


@dataclass(frozen=True, slots=True)
class Credential:
    """A pair of keys, in the shape of those of a role's session."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(repr=False)

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables by which every AWS SDK finds them."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_SESSION_TOKEN": self.session_token,
        }


class Credentials:
    """The credentials that are valid. `known` are secrets by access key, for callers that are no function's process."""

    def __init__(self, known: dict[str, str] | None = None) -> None:
        self._secrets = dict(known or {})
        self._holders: dict[str, Callable[[], str]] = {}

    def issue(self, invocation: Callable[[], str]) -> Credential:
        """Return new credentials for a process; `invocation()` tells what it runs at the time of a call."""
        key = "ASIA" + base64.b32encode(secrets.token_bytes(10)).decode()
        credential = Credential(key, secrets.token_urlsafe(30), secrets.token_urlsafe(30))
        self._secrets[key] = credential.secret_key
        self._holders[key] = invocation
        return credential

    def revoke(self, credential: Credential) -> None:
        """The process is gone."""
        self._secrets.pop(credential.access_key, None)
        self._holders.pop(credential.access_key, None)

    def secret_of(self, access_key: str) -> str | None:
        """Return the secret of an access key; None for one that is not known."""
        return self._secrets.get(access_key)

    def invocation(self, access_key: str) -> str:
        """Return the id of the invocation that the key's process runs, or ran last; empty for any other key."""
        holder = self._holders.get(access_key)
        return holder() if holder is not None else ""


def access_key(authorization: str) -> str:
    """Return the access key that a request is signed with, by its Authorization header; empty where it is not."""
    found = _CREDENTIAL.search(authorization)
    return found[1] if found else ""
