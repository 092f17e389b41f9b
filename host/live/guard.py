"""Who may use the page: those who know the token, from a page of this server, under a name of this computer."""

import ipaddress
import secrets
import socket
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_BYTES = 24
HEADERS = {
    # Everything comes from this server, and no other page may show this one.
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    # The address has the token.
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Headers of all answers."""


def new_token() -> str:
    """A random token, the first part of the path of every address."""
    return secrets.token_urlsafe(TOKEN_BYTES)


class Guard:
    """Refuses, with status 403, requests without the token, from other sites, or under foreign names of this computer.

    Parameters
    ----------
    app : ASGI application
        Gets the requests that are not refused.
    token : str
        First part of the path of every address.
    names : iterable of str
        Names under which a browser may reach the server, besides ``localhost`` and any IP address. Another name may be
        that of a site which has its name resolve to this computer (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, token: str, names: Iterable[str]) -> None:
        self._app, self._token = app, token.encode()
        self._names = {"localhost", *(name.lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            # Before it is accepted, this is an answer with status 403.
            await send({"type": "websocket.close", "code": 1008, "reason": refusal})
        else:
            await PlainTextResponse(f"{refusal}\n", 403)(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> str | None:
        """Why a request is refused; None for one that is not."""
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._known(host):
            return "this is not a name of this server; use the address that opzo live printed"
        # Browsers send it with every WebSocket and with requests of other sites.
        if (scope["type"] == "websocket" or origin is not None) and origin != f"http://{host}":
            return "requests of other sites are refused"
        token = scope["path"].lstrip("/").partition("/")[0]
        if not secrets.compare_digest(token.encode(), self._token):
            return "wrong token; use the address that opzo live printed"
        return None

    def _known(self, host: str) -> bool:
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return name.lower() in self._names
        return True


def names_of(host: str) -> tuple[str, ...]:
    """Names under which a browser may reach a server that listens on ``host``: it, or for all interfaces this host."""
    return (socket.gethostname(), socket.getfqdn()) if host in ("", "0.0.0.0", "::") else (host,)


def _with_headers(send: Send) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            names = {name for name, _ in added}
            message["headers"] = [pair for pair in message["headers"] if pair[0].lower() not in names] + added
        await send(message)

    return sender
