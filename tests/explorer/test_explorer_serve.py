import concurrent.futures
import http.client
import re
import signal
import socket
import subprocess
import sys
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener, urlopen

import pandas as pd
import pytest

pytest.importorskip("panel")
pytest.importorskip("datashader")

from specvae.explorer import serve as serve_forever
from specvae.explorer._serve import make_server

TOKEN = "right-and-long-enough"


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *arguments):
        return None


def status(url, **headers):
    """Code of an answer, and its headers; redirections are not followed."""
    try:
        with build_opener(_Stay).open(Request(url, headers=headers), timeout=60) as answer:
            return answer.status, answer.headers
    except HTTPError as error:
        with error:
            return error.code, error.headers


def raw(address, target, method="GET", **headers):
    """Ask for a target as it stands: clients would tidy it up."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    try:
        connection.putrequest(method, target, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def guarded(serve):
    address = serve(token=TOKEN)
    assert TOKEN in address
    return address.partition("?")[0]


PLACES = ("", "ws", "autoload.js", "metadata", "static/js/bokeh.min.js", "nothing")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "query", ["", "?token=wrong-and-long-enough", "?token=", f"?token={TOKEN}&token={TOKEN}",
              f"?token={TOKEN[:-1]}", f"?Token={TOKEN}", "?token=%ff%fe"]
)  # fmt: skip
def test_without_the_right_token_everything_is_forbidden(guarded, place, query):
    code, headers = status(f"{guarded}{place}{query}")
    assert code == 403 and "Set-Cookie" not in headers
    cookie = f"specvae_explorer_{urlsplit(guarded).port}={TOKEN}"
    assert status(f"{guarded}{place}{query}", Cookie=cookie)[0] == 403


def test_the_right_token_becomes_a_cookie_and_leaves_the_address(guarded):
    code, headers = status(f"{guarded}?token={TOKEN}&row=3")
    assert code == 302 and headers["Location"] == "/?row=3"
    cookie = headers["Set-Cookie"]
    assert TOKEN not in cookie and "HttpOnly" in cookie and "SameSite=Lax" in cookie
    cookie = cookie.partition(";")[0]
    assert status(f"{guarded}?row=3", Cookie=cookie)[0] == 200
    assert status(f"{guarded}?row=3", Cookie=cookie[:-1] + "x")[0] == 403
    # Of another server it is nothing.
    name, _, value = cookie.partition("=")
    assert status(guarded, Cookie=f"{name}={value[::-1]}")[0] == 403


def test_foreign_names_and_foreign_pages_are_refused(address):
    netloc = urlsplit(address).netloc
    assert raw(address, "/")[0] == 200
    assert raw(address, "/", Host="evil.example")[0] == 403
    assert raw(address, "/", Host=f"evil.example:{urlsplit(address).port}")[0] == 403
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol": "bokeh, x",
    }
    assert raw(address, "/ws", Origin="http://evil.example", **upgrade)[0] == 403
    assert raw(address, "/ws", Origin=f"http://{netloc}.evil.example", **upgrade)[0] == 403


@pytest.mark.parametrize(
    "target",
    [
        "/../../../../etc/passwd",
        "/static/../../../../../../etc/passwd",
        "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/static/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/static//etc/passwd",
        "/static/extensions/panel/../../../../../../etc/passwd",
        "/static/extensions/panel/%2e%2e/%2e%2e/__init__.py",
        "/static/extensions/panel//etc/passwd",
        "/components/os/path/../../../../etc/passwd",
        "/components/panel.io.server/Server/../../../../../etc/passwd",
        "/components/specvae.explorer._page/Page/__file__",
        "/stars.npy",
        "/file:///etc/passwd",
        "/?row=../../etc/passwd",
        "/?store=/etc/passwd",
    ],
)
def test_no_file_is_served_by_name(address, target, tmp_path):
    code, body = raw(address, target)
    assert b"root:" not in body and b"import" not in body[:200]
    assert code in (400, 403, 404, 405) or target.startswith("/?")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE"])
def test_the_page_is_read_only(address, method):
    assert raw(address, "/", method)[0] in (403, 405)


def test_a_hundred_requests_at_once_are_answered(address):
    def ask(number):
        # Every third is a link that makes no sense.
        query = ("", "?row=7", "?row=%00%ff&x=<script>")[number % 3]
        with urlopen(address + query, timeout=120) as answer:
            return answer.status, answer.read()

    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(ask, range(100)))
    assert {code for code, _ in answers} == {200}
    assert not any(b"<script>&" in body or b"<script>=" in body for _, body in answers)


def test_nothing_comes_from_elsewhere(address):
    """An archive may lie on a machine without a way to the internet."""
    with urlopen(address, timeout=60) as answer:
        body = answer.read().decode()
    own = re.findall(r"""(?:src|href)=["']([^"']+)""", body)
    assert own and not [target for target in own if target.startswith(("http", "//"))]


def test_a_killed_connection_harms_nobody(address):
    for cut in range(3):
        with socket.create_connection((urlsplit(address).hostname, urlsplit(address).port)) as line:
            line.sendall(b"GET / HTTP/1.1\r\nHost: " + b"x" * cut)
    assert raw(address, "/")[0] == 200


def test_others_are_let_in_by_a_token_only(exhibit):
    for host in ("0.0.0.0", "192.0.2.1", "example.org"):
        with pytest.raises(ValueError, match="lets other machines in; give a token"):
            make_server(exhibit, host=host)
        with pytest.raises(ValueError, match="at least 8 characters"):
            make_server(exhibit, host=host, token="short")
    with pytest.raises(ValueError, match="lets other machines in"):
        serve_forever(None, None, host="0.0.0.0", token="")


def test_ipv6_and_empty_origins_are_refused(exhibit):
    with pytest.raises(ValueError, match="give a name or an IPv4 address"):
        make_server(exhibit, host="::", token=TOKEN)
    with pytest.raises(ValueError, match="names no host"):
        make_server(exhibit, origins=["https://"])


def test_an_origin_may_be_a_whole_address(serve):
    address = serve(origins=["https://proxy:8443"])
    assert raw(address, "/", Host="proxy:8443")[0] == 200
    code, body = raw(address, "/", Host="other:8443")
    assert code == 403 and b"--origin" in body


def test_sessions_modules_and_foreign_pages_are_refused(address):
    many = "&".join(f"k{i}=1" for i in range(300))
    for target in (
        "/?bokeh-session-id=x", "/?bokeh%2dsession-id=x", f"/?{many}&bokeh-session-id=x",
        "/components/antigravity/x", "/components/panelx/y",
    ):  # fmt: skip
        assert raw(address, target)[0] == 403
    assert raw(address, "/", **{"Bokeh-Session-Id": "x"})[0] == 403
    foreign = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert raw(address, "/", **foreign)[0] == 403
    assert raw(address, "/", **foreign | {"Sec-Fetch-Mode": "navigate"})[0] == 200


def test_a_port_that_is_taken_is_named(exhibit):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} is taken"):
            make_server(exhibit, host="127.0.0.1", port=port)


def test_the_command_serves_until_ctrl_c(exhibit, model, stars, tmp_path):
    import specvae
    from specvae.spectra import write_spectra

    names = pd.DataFrame({"object": [f"HD {star}" for star in stars.groups]})
    write_spectra(lambda row: stars.flux[row], tmp_path / "s.npy", exhibit.archive.grid, meta=names)
    specvae.save(model, tmp_path / "m.specvae")
    stars.labels.assign(object=names["object"]).groupby("object").first().to_csv(
        tmp_path / "labels.csv"
    )
    line = "explore m.specvae s.npy --labels labels.csv --codes c.npy --port 0 --no-browser"
    with subprocess.Popen(
        [sys.executable, "-W", "error::DeprecationWarning:specvae", "-m", "specvae", *line.split()],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        address = None
        for line in process.stdout:
            if found := re.search(r"http://\S+", line):
                address = found[0]
                break
        assert address, process.stderr.read()
        assert raw(address, "/")[0] == 200
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert (tmp_path / "c.npy").exists() and "Traceback" not in errors


def test_the_command_refuses_what_it_cannot_do(capsys, monkeypatch):
    from specvae.cli import main

    monkeypatch.delenv("SPECVAE_TOKEN", raising=False)
    assert main(["explore", "m.specvae", "s.npy", "--host", "0.0.0.0"]) == 1
    assert "give a token as well" in capsys.readouterr().err
    monkeypatch.setenv("SPECVAE_TOKEN", "short")
    assert main(["explore", "m.specvae", "s.npy", "--host", "0.0.0.0"]) == 1
    assert "at least 8 characters" in capsys.readouterr().err
    monkeypatch.delenv("SPECVAE_TOKEN")
    assert main(["explore", "none.specvae", "s.npy"]) == 1
    assert "none.specvae" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "datashader", None)
    assert main(["explore", "none.specvae", "s.npy"]) == 1
    assert "pip install 'specvae[explorer]'" in capsys.readouterr().err
