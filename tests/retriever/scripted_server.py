"""A loopback HTTP server that plays a script of replies, good and bad, and keeps every request."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Request:
    """What arrived, and when (seconds of the monotonic clock)."""

    method: str
    path: str
    parameters: dict[str, str]
    headers: dict[str, str]
    body: Any
    at: float


@dataclass(frozen=True)
class Reply:
    """What is sent back: a body as JSON, or bytes as they are."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def payload(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


HANG = Reply(status=0)
"""Never answers."""
DROP = Reply(status=-1)
"""Closes the connection instead of answering."""


def echo(request: Request) -> Reply:
    """Answers each query with one passage whose text is the query."""
    documents = ({"id": "1", "contents": f'"Echo"\n{query}'} for query in request.body["queries"])
    return Reply(body={"result": [[{"document": document, "score": 0.5}] for document in documents]})


class ScriptedServer:
    """Plays `script`, one reply per request, then answers with `default`; listens on a free port or the one given."""

    def __init__(self, default: Callable[[Request], Reply] = echo, port: int = 0) -> None:
        self.script: list[Reply] = []
        self.requests: list[Request] = []
        self.connections = 0
        self._default = default
        self._ending = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self.port = self._http.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def reply_to(self, request: Request) -> Reply:
        self.requests.append(request)
        reply = self.script.pop(0) if self.script else self._default(request)
        if reply is HANG:
            self._ending.wait(30)
        return DROP if self._ending.is_set() else reply

    def close(self) -> None:
        """Stops listening; requests on connections still open are dropped."""
        if not self._ending.is_set():
            self._ending.set()
            self._http.shutdown()
            self._thread.join()
            self._http.server_close()


def _handler(server: ScriptedServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Without this the end of a reply would wait for the peer's acknowledgement.
        disable_nagle_algorithm = True
        timeout = 5

        def setup(self) -> None:
            super().setup()
            server.connections += 1

        def handle(self) -> None:
            # The client may leave at any time, which is its right.
            with suppress(ConnectionError):
                super().handle()

        def answer(self) -> None:
            reply = server.reply_to(self.read())
            if reply.status < 100:
                self.close_connection = True
                return
            payload = reply.payload()
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(payload)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)

        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.answer()

        def read(self) -> Request:
            parts = urlsplit(self.path)
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            return Request(
                self.command,
                parts.path,
                dict(parse_qsl(parts.query, keep_blank_values=True)),
                {name.lower(): value for name, value in self.headers.items()},
                json.loads(sent) if sent else None,
                time.monotonic(),
            )

        def log_message(self, *args: object) -> None:
            pass

    return Handler
