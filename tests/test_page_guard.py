"""Nobody gets in but the browser with the token, and nobody answers but the page itself."""

import numpy as np
import pytest
from page_tools import ADDRESS, TOKEN, Client, page_session
from starlette.testclient import TestClient

from skactivekd.app import ImageFiles, Texts, make_app, serve

EVIL = "http://evil.example"
SCRIPT = "<img src=x onerror=alert(1)>"
TEXTS = [f"text {number} {SCRIPT}" for number in range(12)]


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guard")
    session = page_session(folder, TEXTS, [SCRIPT, "b"], audit=0)
    app = make_app(session, items=Texts(TEXTS), title=SCRIPT, token=TOKEN)
    yield app
    app.state.live.stop()
    session.close()


def bare(app, **headers):
    return TestClient(app, base_url=ADDRESS, headers=headers)


@pytest.mark.parametrize(
    "path", ["/", "/page.js", "/api/state", "/api/start", "/media/0", "/thumbnail/0", "/nowhere"]
)
def test_without_the_token_there_is_nothing(app, path):
    reply = bare(app).get(path)
    assert reply.status_code == 403
    assert "address that the terminal shows" in reply.text
    assert SCRIPT not in reply.text


def test_a_wrong_token_is_refused(app):
    for token in ("", TOKEN[:-1], TOKEN + "0", "ü" * 32):
        reply = bare(app).get("/", params={"token": token})
        assert reply.status_code == 403
        assert "set-cookie" not in reply.headers
    reply = bare(app, Cookie="skactivekd-000000000000=" + TOKEN).get("/api/start")
    assert reply.status_code == 403


def test_the_token_becomes_a_strict_cookie(app):
    reply = bare(app).get("/", params={"token": TOKEN, "annotator": 'a"><script>'})
    cookie = reply.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert "<script>" not in reply.text
    assert 'url=/?annotator=a%22%3E%3Cscript%3E"' in reply.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", ""])
def test_other_names_of_this_host_are_refused(app, host):
    for path in ("/", "/api/state"):
        reply = Client(app).http.get(path, headers={"Host": host})
        assert reply.status_code == 400
    assert Client(app).http.get("/", headers={"Host": "localhost:1234"}).status_code == 200


def say(client, headers=None, content=b"{}"):
    base = {"Content-Type": "application/json"}
    return client.http.post("/api/undo", content=content, headers={**base, **(headers or {})})


def test_other_origins_cannot_answer(app):
    client = Client(app)
    for origin in (EVIL, "null", "http://127.0.0.1:1", "http://127.0.0.1.evil.example", ""):
        reply = say(client, {"Origin": origin})
        assert reply.status_code == 403, origin
    del client.http.headers["Origin"]
    assert say(client).status_code == 403
    client = Client(app)
    assert say(client, {"Sec-Fetch-Site": "cross-site"}).status_code == 403
    reply = client.http.get("/media/0", headers={"Sec-Fetch-Site": "same-site"})
    assert reply.status_code == 403  # a page on another port of this machine
    assert say(client, {"Content-Type": "text/plain"}).status_code == 415
    assert say(client, {"Content-Type": "application/x-www-form-urlencoded"}).status_code == 415


def test_large_bodies_are_refused(app):
    client = Client(app)
    assert say(client, content=b"x" * (10 * 2**20)).status_code == 413

    def parts():
        for _ in range(11):
            yield b" " * 2**20

    assert say(client, content=parts()).status_code == 413  # no length was announced
    assert say(client, {"Content-Length": "-1"}).status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "/media/../../etc/passwd",
        "/media/..%2f..%2fetc%2fpasswd",
        "/media/-1",
        "/media/99999",
        "/media/1e3",
        "/media//etc/passwd",
        "/static/page.js",
        "/page.html",
    ],
)
def test_tricks_with_paths_find_nothing(app, path):
    reply = Client(app).http.get(path)
    assert reply.status_code in (404, 422)
    assert "root:" not in reply.text


def test_headers_keep_the_browser_in(app):
    client = Client(app)
    types = {
        "/": "text/html; charset=utf-8",
        "/page.js": "text/javascript; charset=utf-8",
        "/page.css": "text/css; charset=utf-8",
        "/api/state": "application/json",
        "/media/0": "application/json",  # of a text there is none: the reason why
    }
    for path, kind in types.items():
        reply = client.http.get(path)
        assert reply.headers["content-type"] == kind
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["content-security-policy"].startswith("default-src 'self'")
        assert "unsafe" not in reply.headers["content-security-policy"]
        assert "access-control-allow-origin" not in reply.headers
    assert bare(app).get("/").headers["content-security-policy"]


def test_the_page_asks_nobody_else_and_writes_no_html(app):
    client = Client(app)
    files = [client.http.get(path).text for path in ("/", "/page.js", "/page.css")]
    for text in files:
        assert "https://" not in text
        assert "//cdn" not in text
        assert {part.split('"')[0] for part in text.split("http://")[1:]} <= {
            "www.w3.org/2000/svg"  # the name of SVG, which nobody fetches
        }
    for trap in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert trap not in files[1]
    assert "<script>" not in files[0]
    assert " onclick=" not in files[0]
    assert SCRIPT not in files[0]


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b"\xff", b'{"id": 3}', b"1" * 5000])
def test_nonsense_is_answered_with_a_sentence(app, body):
    client = Client(app)
    for path in ("answer", "undo", "class", "accept", "finish"):
        reply = client.http.post(
            f"/api/{path}", content=body, headers={"Content-Type": "application/json"}
        )
        assert reply.status_code == 422
        assert reply.json()["error"].endswith(".")


def test_wrong_fields_are_named(app):
    client, key = Client(app), Client(app).question()["key"]
    for fields, match in [
        ({"kind": "tell", "key": "file-/etc/passwd", "label": "b"}, "no longer in it"),
        ({"kind": "tell", "key": key, "label": "c"}, "none of the classes"),
        ({"kind": "tell", "key": key, "label": ["b"]}, "none of the classes"),
        ({"kind": "export", "key": key, "label": "b"}, "no answer"),
        ({"kind": "tell", "label": "b"}, "key is missing"),
        ({"kind": "tell", "key": key, "label": "b", "annotator": "x" * 101}, "100"),
        ({"kind": "tell", "key": key, "label": "b", "annotator": "a\nb"}, "printable"),
        ({"kind": "tell", "key": key, "label": "b", "id": "../x"}, "id of 32"),
    ]:
        reply = client.post("answer", **fields)
        assert reply.status_code == 422
        assert match in reply.json()["error"]
    for fields in ({"class": "-1", "n": 3}, {"class": 0, "n": 10**9}, {"class": 7, "n": 3}):
        assert client.get("confirm", **fields).status_code in (200, 422)
    assert client.get("examples", **{"class": 9}).status_code == 422
    assert client.get("item", index="1' OR 1").status_code == 422


def test_hosts_other_than_this_machine_must_be_wanted(tmp_path):
    session = page_session(tmp_path, TEXTS, ["a", "b"], audit=0)
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(ValueError, match="allow_remote=True"):
            serve(session, items=Texts(TEXTS), title="T", host=host, open_browser=False)


def test_a_page_is_made_of_what_it_needs(tmp_path):
    session = page_session(tmp_path, TEXTS, ["a", "b"], audit=0)
    with pytest.raises(ValueError, match="16 characters"):
        make_app(session, items=Texts(TEXTS), title="T", token="short")
    with pytest.raises(ValueError, match="image, text, sound or row"):
        make_app(session, items=object(), title="T", token=TOKEN)
    session.refit = True
    with pytest.raises(ValueError, match="refit=False"):
        make_app(session, items=Texts(TEXTS), title="T", token=TOKEN)


def test_a_file_with_script_in_its_name_is_text(tmp_path):
    from PIL import Image

    name = tmp_path / "<script>alert(1)<÷script>.png"
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(name)
    assert ImageFiles([name]).show(0) == {"name": name.name}  # put on the page by textContent
