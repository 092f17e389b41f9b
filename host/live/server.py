"""The server of the page: its files and its WebSocket, in a thread of its own."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from opzo.host.live.guard import Guard, names_of, new_token
from opzo.host.live.hub import Hub, Page, problem
from opzo.host.live.requests import MESSAGE_BYTES_MAX, Request, parse_request
from opzo.spec.errors import OpzoError

PAGE = Path(__file__).parent / "page"
"""Files of the page."""
CLOSE_SECONDS = 2
"""How long open pages may take to close at the end."""
TOO_MANY, NOT_TEXT = 1013, 1003
"""Codes of closed WebSockets."""

Ask = Callable[[Request, Page], None]
"""Hands a request of a page to the thread of the device, which replies through the hub."""


def application(hub: Hub, ask: Ask, *, token: str, names: tuple[str, ...], classes: int) -> ASGIApp:
    """ASGI application with the page at ``/TOKEN/``.

    Parameters
    ----------
    names : tuple of str
        Names under which a browser may reach it (`Guard`).
    classes : int
        Classes of the network.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        hub.start()
        yield

    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        page = hub.join()
        if page is None:
            await websocket.close(TOO_MANY, "too many pages are open; close one")
            return
        sender = asyncio.create_task(_send(websocket, page))
        try:
            await _receive(websocket, page, ask, classes)
        finally:
            hub.leave(page)
            sender.cancel()

    files = StaticFiles(directory=PAGE, html=True)
    routes = [Mount(f"/{token}", routes=[WebSocketRoute("/socket", talk), Mount("/", files)])]
    return Guard(Starlette(routes=routes, lifespan=lifespan), token, names)


async def _send(websocket: WebSocket, page: Page) -> None:
    # A page that is gone is noticed by its receiver.
    with suppress(WebSocketDisconnect, RuntimeError):
        while (text := await page.waiting.get()) is not None:
            await websocket.send_text(text)
        await websocket.close()


async def _receive(websocket: WebSocket, page: Page, ask: Ask, classes: int) -> None:
    while (message := await websocket.receive())["type"] == "websocket.receive":
        text = message.get("text")
        if text is None:
            await websocket.close(NOT_TEXT, "messages are text")
            return
        try:
            if page.busy:
                raise OpzoError("the last request is not answered yet; wait for its answer")
            request = parse_request(text, classes)
        except OpzoError as error:
            page.put(json.dumps(problem(error)))
            continue
        page.busy = True
        ask(request, page)


class PageServer:
    """Serves the page within its ``with`` block, in a thread of its own.

    Parameters
    ----------
    host : str
        Name or address to listen on.
    port : int
        Its port; 0: any free one.
    ended : callable
        Called from the thread of the server if it ends before the block does.

    OpzoError where it cannot listen there.
    """

    def __init__(self, hub: Hub, ask: Ask, *, host: str, port: int, classes: int, ended: Callable[[], None]) -> None:
        self._socket = _listening(host, port)
        token = new_token()
        name = names_of(host)[0]
        name = f"[{name}]" if ":" in name else name
        self.address = f"http://{name}:{self._socket.getsockname()[1]}/{token}/"
        """Address of the page, with its token."""
        config = uvicorn.Config(
            application(hub, ask, token=token, names=names_of(host), classes=classes),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws_max_size=MESSAGE_BYTES_MAX,
            timeout_graceful_shutdown=CLOSE_SECONDS,
        )
        self._server = uvicorn.Server(config)
        self._ended = ended
        self._thread = threading.Thread(target=self._run, name="opzo-live-server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._ended()


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server((address[0], address[1]), family=family)
    except OSError as error:
        raise OpzoError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}; give another --port or --host"
        ) from None
