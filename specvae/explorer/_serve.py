"""A web server for one page, on this machine unless a token guards it."""

import asyncio
import errno
import hashlib
import hmac
import html
import logging
import re
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import panel as pn
from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher, Rule
from tornado.web import RequestHandler

from ._exhibit import Exhibit
from ._page import Page

_LOG = logging.getLogger(__name__)
LOCAL = ("localhost", "127.0.0.1")
SHORTEST_TOKEN = 8
_LONGEST_STOP_S = 10.0
_COMPONENT = re.compile(r"/components/(panel|bokeh)[./]")


def check_host(host: str, token: str | None) -> None:
    """Raise unless the address is that of this machine alone or a token guards it.

    Raises
    ------
    ValueError
        If others could come in without a token, or with one that is soon guessed, or the address
        is of IPv6, which Bokeh does not take.
    """
    if ":" in host:
        raise ValueError(f"host {host} is an IPv6 address; give a name or an IPv4 address.")
    if host not in LOCAL and not token:
        raise ValueError(
            f"host {host} lets other machines in; give a token as well (`python -c 'import "
            "secrets; print(secrets.token_urlsafe())'` makes one), or stay on localhost."
        )
    if token is not None and len(token) < SHORTEST_TOKEN:
        raise ValueError(f"token must have at least {SHORTEST_TOKEN} characters.")


def make_server(
    exhibit: Exhibit,
    *,
    port: int = 0,
    host: str = "localhost",
    token: str | None = None,
    origins: Sequence[str] = (),
) -> tuple[Any, str]:
    """Return a server that listens but does not answer yet, and the address of its page."""
    check_host(host, token)
    pn.extension("tabulator")
    port = port or _free_port(host)
    _check_free(host, port)
    names = [*LOCAL] if host in LOCAL else [*LOCAL, host, *_own_names()]
    # Bokeh takes no addresses of IPv6 here.
    allowed = {f"{name}:{port}".lower() for name in names if ":" not in name}
    allowed |= {_netloc(origin) for origin in origins}

    server = pn.io.server.get_server(
        {"/": lambda: _open_page(exhibit)},
        port=port,
        address=host,
        websocket_origin=sorted(allowed),
        title=f"specvae explorer \u2013 {exhibit.title}",
        show=False,
        start=False,
        # No look for sessions' histories, no index, no files of this machine.
        static_dirs={},
        index=None,
    )
    _guard(server._tornado, allowed, token, port)
    shown = host if host != "0.0.0.0" else socket.gethostname()
    entry = f"?{urlencode({'token': token})}" if token else ""
    return server, f"http://{shown}:{port}/{entry}"


def serve_on_thread(exhibit: Exhibit, **where: Any) -> tuple[str, Callable[[], None]]:
    """Serve from a thread of this process; return the address, and a function that ends it."""
    started = threading.Event()
    found: dict[str, Any] = {}

    def run() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        try:
            server, found["address"] = make_server(exhibit, **where)
        except Exception as error:
            found["error"] = error
            started.set()
            return
        found["loop"] = loop = server.io_loop
        server.start()
        loop.add_callback(started.set)
        loop.start()
        server.stop()
        loop.close()

    thread = threading.Thread(target=run, name="specvae explorer", daemon=True)
    thread.start()
    started.wait()
    if "error" in found:
        raise found["error"]

    def stop() -> None:
        found["loop"].add_callback(found["loop"].stop)
        thread.join(_LONGEST_STOP_S)

    return found["address"], stop


def _open_page(exhibit: Exhibit) -> Any:
    """Return an empty page that fills itself once a browser has connected.

    Figures and widgets take some tenths of a second, for which whoever only asks for addresses
    should not make the others wait.
    """
    pn.extension("tabulator")
    location = pn.state.location
    query = location.search or ""
    port = f":{location.port}" if location.port else ""
    address = f"{location.protocol}//{location.hostname}{port}{location.pathname}"
    room = pn.Column("Opening the explorer \u2026", sizing_mode="stretch_width")

    def fill() -> None:
        try:
            room[:] = [Page(exhibit, query, address).view]
        except Exception as error:
            _LOG.exception("the page could not be made")
            text = html.escape(f"The page could not be made: {type(error).__name__}: {error}")
            room[:] = [pn.pane.HTML(f'<div role="alert">{text}</div>')]

    pn.state.onload(fill)
    return room


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _check_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise OSError(
                error.errno, f"port {port} is taken; choose another, or 0 for any that is free"
            ) from error


def _netloc(origin: str) -> str:
    """Name and port of an origin, be it a whole address or "name:port"."""
    netloc = urlsplit(origin if "//" in origin else f"//{origin}").netloc.lower()
    if not netloc:
        raise ValueError(f"origin {origin!r} names no host; give name:port.")
    return netloc


def _own_names() -> list[str]:
    name = socket.gethostname()
    names = {name, socket.getfqdn()}
    try:
        names |= {str(found[4][0]) for found in socket.getaddrinfo(name, None)}
    except OSError:
        pass  # the name of this machine is in no table
    return sorted(names)


class _Guard:
    """Says which requests may pass, from the first byte on: pages, scripts and web sockets alike.

    The token comes once, in the address; from then on a cookie stands for it, so that neither the
    address bar nor links that are passed on hold it.
    """

    def __init__(self, allowed: set[str], token: str | None, port: int):
        self._allowed = allowed
        self._token = token
        self._key = secrets.token_bytes(32)  # new for each server: a restart ends all visits
        self.cookie_name = f"specvae_explorer_{port}"

    @property
    def cookie(self) -> str:
        """What stands for the token."""
        token = (self._token or "").encode()
        return hmac.new(self._key, token, hashlib.sha256).hexdigest()

    def knows_host(self, request: HTTPServerRequest) -> bool:
        """Whether the browser believes to be here, and a page from here asks.

        Else a foreign name was pointed at this machine, or a foreign page opens a web socket.
        """
        origin = request.headers.get("Origin")
        is_own = origin is None or urlsplit(origin).netloc.lower() in self._allowed
        return is_own and request.host.lower() in self._allowed

    def is_harmless(self, request: HTTPServerRequest) -> bool:
        """Whether it asks neither for another's session, nor for modules, nor from foreign pages.

        Bokeh would let two browsers share a session by its name, and panel would import any
        module that is installed.
        """
        headers = request.headers
        names_session = "bokeh-session-id" in request.arguments or "Bokeh-Session-Id" in headers
        is_module = request.path.startswith("/components") and not _COMPONENT.match(request.path)
        is_foreign = (
            headers.get("Sec-Fetch-Site") == "cross-site"
            and headers.get("Sec-Fetch-Mode") != "navigate"
        )
        return not (names_session or is_module or is_foreign)

    def brings_token(self, request: HTTPServerRequest) -> bool:
        """Whether the address holds the token."""
        given = [value for key, value in _pairs(request.query) if key == "token"]
        return self._token is not None and len(given) == 1 and _same(given[0], self._token)

    def may_pass(self, request: HTTPServerRequest) -> bool:
        """Whether a cookie stands for the token, or none is wanted."""
        if self._token is None:
            return True
        cookie = request.cookies.get(self.cookie_name)
        return cookie is not None and _same(cookie.value, self.cookie)


def _same(given: str, wanted: str) -> bool:
    # In a time that does not tell how much of it is right.
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=200)
    except ValueError:
        return []


class _If(Matcher):
    def __init__(self, condition: Any):
        self._condition = condition

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        return {} if self._condition(request) else None


class _Refuse(RequestHandler):
    def prepare(self) -> None:
        self.set_status(403)
        self.finish(
            "403: this page wants its token, or was asked for under a foreign name; "
            "--origin NAME:PORT allows that of a proxy.\n"
        )


class _Enter(RequestHandler):
    def initialize(self, guard: _Guard) -> None:
        self._guard = guard

    def get(self, *path: str) -> None:
        rest = [pair for pair in _pairs(self.request.query) if pair[0] != "token"]
        self.set_cookie(
            self._guard.cookie_name, self._guard.cookie, httponly=True, samesite="Lax", path="/"
        )
        self.redirect(f"/?{urlencode(rest)}" if rest else "/")


def _guard(application: Any, allowed: set[str], token: str | None, port: int) -> None:
    """Put a guard before all that the application answers."""
    guard = _Guard(allowed, token, port)
    application.add_handlers(
        r".*",
        [
            Rule(_If(lambda request: not guard.knows_host(request)), _Refuse),
            Rule(_If(lambda request: not guard.is_harmless(request)), _Refuse),
            Rule(_If(guard.brings_token), _Enter, {"guard": guard}),
            Rule(_If(lambda request: not guard.may_pass(request)), _Refuse),
        ],
    )
