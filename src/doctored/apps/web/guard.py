"""Who may call the server, and what browsers may do with its answers: checked before any route is looked up.

A server on 127.0.0.1 is reached by every page that a browser on this machine has open. What keeps them out: the name in
``Host`` (a page that resolves its own name to 127.0.0.1 still sends that name), and ``Origin`` and ``Sec-Fetch-Site``,
which browsers set and pages cannot change.
"""

import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from doctored.apps.web.settings import ServeSettings

SESSION_COOKIE = "doctored_session"
_WITHOUT_TOKEN = ("/", "/health", "/session")
_STATIC = "/static/"
# Room for the other parts of an upload, and for what is no upload.
_OTHER_BYTES = 65_536
_MOST_DIGITS = 18
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
    # Routes that answer with a page state a policy of their own.
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
}


class Guard:
    """Wraps an application.

    Args:
        app: The application.
        settings: Names, token and limits.
        upload_path: Of the one route that takes a picture.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings, upload_path: str) -> None:
        self._app, self._settings, self._upload_path = app, settings, upload_path
        # Known only to browsers that have shown the token, and only until the server stops.
        self.session = secrets.token_urlsafe()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"there is nothing here that speaks {scope['type']}")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        limit = _OTHER_BYTES + (self._settings.max_bytes if scope["path"] == self._upload_path else 0)
        refused = self._refusal(scope, Headers(scope=scope), limit)
        if refused is not None:
            await refused(scope, receive, send_with_headers)
            return
        await self._app(scope, self._bounded(receive, limit), send_with_headers)

    def _refusal(self, scope: Scope, headers: Headers, limit: int) -> JSONResponse | None:
        host = headers.get("host", "")
        if not self._settings.is_own_name(_name_of(host)):
            return _refuse(
                421, f"this server is not called {host!r}; start it with --allow-host to change that"
            )
        if not scope["query_string"].isascii():
            return _refuse(400, "write what is no ASCII in a query as percent and two hexadecimal digits")
        origin = headers.get("origin")
        if origin is not None and _place_of(origin) != host.lower():
            return _refuse(403, "pages of other sites may not use this server")
        navigates = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not navigates:
            return _refuse(403, "pages of other sites may not use this server")
        path = scope["path"]
        public = path in _WITHOUT_TOKEN or path.startswith(_STATIC)
        if not public and not self._knows_token(headers):
            return _refuse(
                401,
                "give the token: Authorization: Bearer TOKEN",
                {"www-authenticate": 'Bearer realm="doctored"'},
            )
        length = headers.get("content-length", "0")
        if length.isdecimal() and (len(length) > _MOST_DIGITS or int(length) > limit):
            return _refuse(413, self._too_large(int(length[:_MOST_DIGITS])))
        return None

    def _knows_token(self, headers: Headers) -> bool:
        if self._settings.token is None:
            return True
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and is_same(token.strip(), self._settings.token):
            return True
        cookies: SimpleCookie = SimpleCookie()
        try:
            cookies.load(headers.get("cookie", ""))
        except CookieError:
            return False
        return SESSION_COOKIE in cookies and is_same(cookies[SESSION_COOKIE].value, self.session)

    def _bounded(self, receive: Receive, limit: int) -> Receive:
        """Reading a body fails as soon as it is too long, whatever length it had announced."""
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(413, self._too_large(received))
            return message

        return bounded

    def _too_large(self, length: int) -> str:
        return (
            f"{length / 1e6:.4g} MB or more were sent, and the limit is {self._settings.max_megabytes:g} MB for one "
            "picture; send a smaller file, or start the server with a higher --max-mb"
        )


def is_same(given: str, secret: str) -> bool:
    """Whether two secrets are the same, in a time that tells nothing about where they differ."""
    return secrets.compare_digest(given.encode("utf-8"), secret.encode("utf-8"))


def _place_of(origin: str) -> str | None:
    """Host and port of an ``Origin`` header, in lower case; None if it is no address."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # a bracket that is not closed
        return None


def _name_of(host: str) -> str:
    """A ``Host`` header without its port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


def _refuse(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": sentence}, status, headers)
