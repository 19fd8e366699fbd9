"""Who may talk to the server: the browser that was opened with its token, from its own page."""

import hashlib
import hmac
import html
import ipaddress
import json
from urllib.parse import parse_qsl, urlencode

BODY = 10 * 2**20 - 1  # bytes; an answer has hundreds
COOKIE = "skactivekd"
_DAYS = 30
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """ASGI middleware that lets nobody in but the page of this server.

    A request must name a host that is ours (else a foreign name was bound to this address),
    carry the token, in the opened address or in the cookie that it is traded for, and if it
    changes anything come from the page itself, as JSON of a bounded size.

    Parameters
    ----------
    app : ASGI application
    token : str
    hosts : sequence of str
        Names by which the server may be called; "*" allows all.
    """

    def __init__(self, app, token, hosts):
        if not isinstance(token, str) or len(token) < 16:
            raise ValueError("token must be a random text of 16 characters or more.")
        self.app, self.token, self.hosts = app, token, {host.lower() for host in hosts}
        # Cookies are shared by all ports of a machine: each server has a name of its own.
        self.cookie = f"{COOKIE}-{hashlib.sha256(token.encode()).hexdigest()[:12]}"

    async def __call__(self, scope, receive, send):
        """Answer a request, or refuse it."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        send = _with_headers(send)
        refusal = self._refusal(scope, headers)
        if refusal is None and scope["method"] == "GET" and scope["path"] == "/":
            asked = _query(scope).get("token")
            if asked is not None:
                await self._trade(scope, send, asked)
                return
        if refusal is None and not self._is_known(headers):
            refusal = (
                403,
                (
                    "This page opens with the address that the terminal shows, token included. "
                    "Open that address."
                ),
            )
        if refusal is not None:
            await _say(send, *refusal, as_json=scope["path"] != "/")
            return
        try:
            await self.app(scope, _Bounded(receive), send)
        except TooLarge:
            await _say(send, 413, "That is more than 10 MB, and no answer.")

    def _refusal(self, scope, headers):
        host = headers.get("host", [])
        if len(host) != 1 or not self._is_ours(host[0]):
            return 400, "This server is not known by that name. Open the address it printed."
        site = headers.get("sec-fetch-site", ["none"])[0]
        path = scope["path"]
        if site not in ("same-origin", "none") and path != "/":
            return 403, "Another page may not ask this server for anything."
        if scope["method"] in ("GET", "HEAD"):
            return None
        origin = headers.get("origin", [])
        if len(origin) != 1 or origin[0] not in (f"http://{host[0]}", f"https://{host[0]}"):
            return 403, "Only the page of this server itself may answer."
        kind = headers.get("content-type", [""])[0].split(";")[0].strip().lower()
        if kind != "application/json":
            return 415, "Answers are sent as application/json."
        length = headers.get("content-length", ["0"])[0]
        if not length.isascii() or not length.isdigit() or int(length) > BODY:
            return 413, "That is more than 10 MB, and no answer."
        return None

    def _is_ours(self, host):
        name = host.lower()
        if name.startswith("["):
            name = name[1:].split("]")[0]
        elif ":" in name:
            name = name.rsplit(":", 1)[0]
        return "*" in self.hosts or name in self.hosts

    def _is_known(self, headers):
        for line in headers.get("cookie", []):
            for part in line.split(";"):
                name, _, value = part.strip().partition("=")
                if name == self.cookie and _equal(value, self.token):
                    return True
        return False

    async def _trade(self, scope, send, asked):
        """Turn the token in the address into a cookie, so that it is not left in the address."""
        if not _equal(asked, self.token):
            await _say(
                send, 403, "This token is not the one that the terminal shows.", as_json=False
            )
            return
        rest = {name: value for name, value in _query(scope).items() if name != "token"}
        cookie = (
            f"{self.cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict; "
            f"Max-Age={_DAYS * 86400}"
        )
        # Not a redirect: where a page elsewhere has the address as a link, browsers keep strict
        # cookies from the whole chain, but not from what this page itself asks for.
        target = html.escape("/?" + urlencode(rest) if rest else "/")
        body = (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Opening</title>'
            f'<meta http-equiv="refresh" content="0;url={target}">'
            f'<a href="{target}">Open</a></html>'
        ).encode()
        headers = [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"set-cookie", cookie.encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class TooLarge(Exception):
    """A body that is more than an answer can be."""


class _Bounded:
    """What a request sends, up to a number of bytes."""

    def __init__(self, receive):
        self.receive, self.size = receive, 0

    async def __call__(self):
        message = await self.receive()
        self.size += len(message.get("body", b""))
        if self.size > BODY:
            raise TooLarge
        return message


def is_loopback(host):
    """Tell whether a host is this machine, as seen by itself alone.

    Examples
    --------
    >>> from skactivekd.app._guard import is_loopback
    >>> [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "pc7")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _query(scope):
    return dict(parse_qsl(scope["query_string"].decode("latin-1")))


def _equal(one, other):
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())


def _with_headers(send):
    async def wrapped(message):
        if message["type"] == "http.response.start":
            given = list(message.get("headers", []))
            given += [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
            message = {**message, "headers": given}
        await send(message)

    return wrapped


async def _say(send, status, text, as_json=True):
    if as_json:
        body, kind = json.dumps({"error": text}).encode(), b"application/json"
    else:
        body, kind = text.encode(), b"text/plain; charset=utf-8"
    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
