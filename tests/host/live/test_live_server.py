import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from live_page import SEVEN
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from opzo.host.live.guard import names_of
from opzo.host.live.hub import PAGES_MAX, QUEUE_MAX, Hub, Page
from opzo.host.live.requests import MESSAGE_BYTES_MAX, Action, Request
from opzo.host.live.server import PAGE, PageServer
from opzo.spec.errors import OpzoError


class Served:
    """A server whose requests are kept, and answered by the test."""

    def __init__(self, server: PageServer, hub: Hub, asked: list[tuple[Request, Page]]) -> None:
        self.hub, self.asked = hub, asked
        parts = urlsplit(server.address)
        assert parts.port is not None
        self.port, self.path, self.host = parts.port, parts.path, parts.netloc

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.putrequest(method, path, skip_host=True)
        for name, value in ({"host": self.host} | headers).items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()

    def page(self, path: str = "", **headers: str) -> ClientConnection:
        """An open WebSocket; its greeting is not read."""
        sent = {"origin": f"http://{self.host}"} | headers
        address = f"ws://127.0.0.1:{self.port}{path or self.path}socket"
        return connect(address, additional_headers=sent, open_timeout=20, max_size=None)


@pytest.fixture
def served() -> Iterator[Served]:
    hub, asked = Hub(), []  # type: tuple[Hub, list[tuple[Request, Page]]]

    def ask(request: Request, page: Page) -> None:
        asked.append((request, page))

    with PageServer(hub, ask, host="127.0.0.1", port=0, classes=10, ended=lambda: None) as server:
        yield Served(server, hub, asked)


def received(page: ClientConnection) -> Any:
    return json.loads(page.recv(timeout=20))


def test_serves_the_page_and_loads_nothing_from_elsewhere(served: Served) -> None:
    status, headers, text = served.get(served.path)
    assert (status, text) == (200, (PAGE / "index.html").read_text())
    assert headers["content-security-policy"].startswith("default-src 'self';")
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers
    for file in PAGE.iterdir():
        status, _, text = served.get(served.path + file.name)
        assert (status, text) == (200, file.read_text())
        # The name space of SVG is no address that is loaded.
        assert "//" not in text.replace("http://www.w3.org/2000/svg", "").replace("// ", "")


def test_wrong_token_is_refused(served: Served) -> None:
    for path in ("/", "/live.js", "/wrong/", "/wrong/live.js", served.path[:-2] + "x/", "/%2e%2e" + served.path):
        status, headers, text = served.get(path)
        assert (status, text) == (403, "wrong token; use the address that opzo live printed\n")
        assert "content-security-policy" in headers
    with pytest.raises(InvalidStatus) as error:
        served.page("/wrong/")
    assert error.value.response.status_code == 403


def test_other_hosts_and_sites_are_refused(served: Served) -> None:
    port = served.port
    for host in (f"evil.example:{port}", "evil.example", "", f"127.0.0.1.evil.example:{port}", f"[evil]:{port}"):
        assert served.get(served.path, host=host)[0] == 403
        with pytest.raises(InvalidStatus):
            served.page(host=host, origin=f"http://{host}")
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{port + 1}", f"https://{served.host}"):
        assert served.get(served.path, origin=origin)[0] == 403
        with pytest.raises(InvalidStatus):
            served.page(origin=origin)
    for host in (f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}", f"192.168.7.7:{port}", "127.0.0.1"):
        assert served.get(served.path, host=host)[0] == 200


def test_websocket_without_origin_is_refused(served: Served) -> None:
    with pytest.raises(InvalidStatus):
        connect(f"ws://{served.host}{served.path}socket", open_timeout=20)


def test_only_reading_is_allowed(served: Served) -> None:
    assert served.get(served.path, "POST")[0] == 405
    assert served.get(served.path + "missing.js")[0] == 404
    assert served.get(served.path + "../hub.py")[0] == 404
    assert served.get(served.path + "%2e%2e/hub.py")[0] == 404


def test_requests_are_checked_and_answered_one_at_a_time(served: Served) -> None:
    with served.page() as page:
        page.send("{")
        assert received(page)["kind"] == "error"
        page.send(json.dumps({"action": "classify", "strokes": SEVEN}))
        page.send(json.dumps({"action": "pause"}))
        assert "not answered yet" in received(page)["text"]
        (request, asker), *more = served.asked
        assert request == Request(Action.CLASSIFY, [[tuple(point) for point in stroke] for stroke in SEVEN])
        assert more == []
        served.hub.reply(asker, {"kind": "answer", "prediction": 7})
        assert received(page) == {"kind": "answer", "prediction": 7}
        page.send(json.dumps({"action": "pause"}))
        page.send("{")
        received(page)
        assert served.asked[-1][0] == Request(Action.PAUSE)


@pytest.mark.parametrize("message", ["x" * (MESSAGE_BYTES_MAX + 1), b"binary"])
def test_large_and_binary_messages_close_the_page(served: Served, message: str | bytes) -> None:
    with served.page() as page:
        page.send(message)
        with pytest.raises(ConnectionClosed) as error:
            page.recv(timeout=20)
    assert error.value.rcvd is not None
    assert error.value.rcvd.code == (1009 if isinstance(message, str) else 1003)
    assert served.asked == []


def test_every_page_gets_news_and_new_pages_the_last_ones(served: Served) -> None:
    served.hub.publish({"kind": "status", "state": "training"})
    served.hub.publish({"kind": "hello", "network": "a"})
    served.hub.publish({"kind": "status", "state": "done"})
    for layer in (1, 2):
        served.hub.publish({"kind": "weights", "layer": layer})
    with served.page() as first, served.page() as second:
        for page in (first, second):
            kinds = [received(page) for _ in range(4)]
            assert kinds[0] == {"kind": "hello", "network": "a"}
            assert kinds[1] == {"kind": "status", "state": "done"}
            assert [message["layer"] for message in kinds[2:]] == [1, 2]
        served.hub.publish({"kind": "taught"})
        assert received(first) == received(second) == {"kind": "taught"}
        second.close()
        served.hub.publish({"kind": "taught"})
        assert received(first) == {"kind": "taught"}


def test_too_many_pages_are_refused(served: Served) -> None:
    with ExitStack() as stack:
        pages = [stack.enter_context(served.page()) for _ in range(PAGES_MAX + 1)]
        with pytest.raises(ConnectionClosed, match="too many pages"):
            pages[-1].recv(timeout=20)


def test_a_slow_page_is_closed() -> None:
    page = Page()
    for _ in range(QUEUE_MAX):
        page.put("{}")
    assert page.waiting.get_nowait() is None


def test_answers_after_the_end_of_the_server_are_dropped() -> None:
    hub = Hub()
    with PageServer(hub, lambda request, page: None, host="localhost", port=0, classes=2, ended=lambda: None):
        pass
    hub.publish({"kind": "hello"})
    hub.reply(Page(), {"kind": "done"})


def test_a_port_in_use_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OpzoError, match=rf"cannot listen on 127.0.0.1, port {port}: .*; give another --port"):
            PageServer(Hub(), lambda request, page: None, host="127.0.0.1", port=port, classes=2, ended=lambda: None)


def test_names_of_all_interfaces_are_those_of_this_computer() -> None:
    assert names_of("0.0.0.0")[0] == socket.gethostname()
    hub = Hub()
    with PageServer(hub, lambda request, page: None, host="0.0.0.0", port=0, classes=2, ended=lambda: None) as server:
        found = Served(server, hub, [])
        assert found.host == f"{socket.gethostname()}:{found.port}"
    assert names_of("lab.example") == ("lab.example",)


def test_files_of_the_page_are_small() -> None:
    assert sum(file.stat().st_size for file in Path(PAGE).iterdir()) < 60_000
