"""What a server may be asked to do, and by whom."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from doctored.apps.file_parser import FileParser
from doctored.apps.isolation import file_parser
from doctored.core.errors import ConfigError

SHORTEST_TOKEN = 16


@dataclass(frozen=True)
class ServeSettings:
    """Where the server listens, and its limits.

    Args:
        host: IP address to listen on, or "localhost".
        port: To listen on; 0 for a free one.
        token: What clients must know; None lets everybody in who reaches the server.
        allowed_hosts: Names, without port, by which the server may be called besides its own.
        max_megapixels: Larger pictures are refused.
        max_megabytes: Larger files are refused.
        max_seconds: Longest time for one upload, and for the analysis of one picture.
        queue: Pictures that may wait; further ones are refused.
        keep_minutes: Results are deleted so long after they were ready.
        keep_megabytes: Disk that results may take in all; the oldest go first.
        scan: Store of a scan to show; None for none.
        isolate: Whether files are parsed in processes of their own.

    Raises:
        ConfigError: A value makes no sense, or a token is missing where others can reach the server.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    max_megapixels: float = 100
    max_megabytes: float = 100
    max_seconds: float = 600
    queue: int = 20
    keep_minutes: float = 60
    keep_megabytes: float = 4000
    scan: Path | None = None
    isolate: bool = False

    def __post_init__(self) -> None:
        if self.host != "localhost" and not is_ip_address(self.host):
            raise ConfigError(f"--host must be an IP address or localhost; got {self.host!r}")
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"--port must be 0 to 65535; got {self.port}")
        if self.queue < 1:
            raise ConfigError(f"--queue must be 1 or more; got {self.queue}")
        if self.token is not None and len(self.token) < SHORTEST_TOKEN:
            raise ConfigError(
                f"a token must have {SHORTEST_TOKEN} characters or more, so that nobody can guess it; "
                f"got {len(self.token)}"
            )
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise ConfigError("a token may hold printable ASCII characters only; choose another one")
        if self.token is None and not self.is_local:
            raise ConfigError(
                f"others can reach {self.host}, so a token is needed: set DOCTORED_TOKEN or give --token, for "
                'instance what this prints: python -c "import secrets; print(secrets.token_urlsafe())"'
            )

    @property
    def is_local(self) -> bool:
        """Whether only programs on this machine can reach the server."""
        return is_loopback(self.host)

    def parser(self) -> FileParser:
        """What parses files."""
        return file_parser(
            self.max_megapixels, self.max_megabytes, isolate=self.isolate, with_credentials=True
        )

    @property
    def max_bytes(self) -> int:
        """Of one file."""
        return int(self.max_megabytes * 1e6)

    def is_own_name(self, host: str) -> bool:
        """Whether a name is one by which this server may be called.

        A page of another site can make a browser call any server under a name of its own (DNS rebinding), but never
        under an address or under one of these names.

        Args:
            host: Without port, an IPv6 address without brackets.
        """
        if host.lower() in {"localhost", *(name.lower() for name in self.allowed_hosts)}:
            return True
        return is_loopback(host) if self.is_local else is_ip_address(host)


def is_ip_address(host: str) -> bool:
    """Whether this is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether this is the machine itself."""
    return host == "localhost" or (is_ip_address(host) and ipaddress.ip_address(host).is_loopback)
