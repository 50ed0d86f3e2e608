"""Functions in containers that `sam local` starts: how they reach this machine, and their environment.

https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-sam-cli-using-invoke.html
"""

import errno
import json
import socket
import subprocess
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from gateway.errors import GatewayError
from gateway.template.specs import FunctionSpec

# Where the engine runs in a virtual machine of its own, this name leads to the loopback of the one around it.
_DESKTOP = "host.docker.internal"
_BRIDGE = ("docker", "network", "inspect", "bridge", "--format", "{{json .IPAM.Config}}")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def host() -> str:
    """Return this machine's name or address as containers see it. Raises GatewayError where no engine answers."""
    try:
        done = subprocess.run(_BRIDGE, capture_output=True, text=True, timeout=10, check=True)
        address = bridge(json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError, AttributeError):
        raise GatewayError(
            "--sam-env: docker does not say how containers reach this machine; --container-host says it"
        ) from None
    return address if is_here(address) else _DESKTOP


def bridge(networks: list[dict[str, str]]) -> str:
    """Return the address of the engine's side of its bridge, of the bridge's IPAM configuration."""
    for network in networks:
        subnet = ip_network(network["Subnet"])
        if subnet.version == 4:
            # The engine takes the first address where it was not told one, and tells of it only later.
            return network.get("Gateway") or str(subnet[1])
    raise LookupError("no IPv4 network")


def is_here(address: str) -> bool:
    """Tell whether `address` is one that this machine can listen on, and not a name or another machine's."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.bind((address, 0))
    except socket.gaierror:
        return False
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            return False
        raise GatewayError(f"cannot listen on {address}: {error.strerror}") from None
    return True


def reachable(url: str, host: str) -> str:
    """Return the address by which a container reaches what this machine serves at `url`."""
    parts = urlsplit(url)
    if parts.hostname not in _LOOPBACK:
        return url
    return urlunsplit(parts._replace(netloc=authority(host, parts.port)))


def authority(host: str, port: int | None) -> str:
    """Return host and port as a URL has them."""
    name = f"[{host}]" if ":" in host else host
    return name if port is None else f"{name}:{port}"


def write_environment(path: Path, functions: Iterable[FunctionSpec], endpoint: str, host: str) -> None:
    """Write the file for `sam local --env-vars`: the functions' variables, and the AWS at `endpoint`.

    What the template gave them of this machine, beside the AWS, they must reach as it stands.
    Raises GatewayError where it cannot be written.
    """
    variables = {function.logical_id: _variables(function.environment, endpoint, host) for function in functions}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(variables, indent=2) + "\n")
    except OSError as error:
        raise GatewayError(f"cannot write {path}: {error.strerror}") from None


def _variables(given: Mapping[str, str], endpoint: str, host: str) -> dict[str, str]:
    outside = reachable(endpoint, host)
    # Queues have their address from the AWS that made them.
    moved = {
        name: outside + value.removeprefix(endpoint) for name, value in given.items() if value.startswith(endpoint)
    }
    return {**given, **moved, "AWS_ENDPOINT_URL": outside}
