"""A chat server over HTTP: one question at a time, tried again where that can help."""

import email.utils
import json
import random
import re
import threading
import time
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from ._api_key import Cleaner

_LONGEST_WAIT = 60.0  # seconds between two tries, unless the server says more
_LONGEST_PAUSE = 600.0  # seconds that a server may ask to wait; beyond, people call again later
_MOST_BYTES = 2**24  # of an answer; what was asked for has a few thousand
_BUSY = (408, 409, 425, 429)
_ROW = (400, 413, 415, 422)  # the server refuses this very row, or the settings
_SECRETS = re.compile(r"(?i)(.*[_-])?(key|apikey|token|secret|sig|signature|password|code)$")
_PATH = "/chat/completions"


class EndpointError(RuntimeError):
    """A server that cannot be asked at all: wrong key, address, model or settings, or it is down.

    Rows that it answered before are kept.

    .. versionadded:: 0.1

    See Also
    --------
    EndpointTeacher : Raises it.

    Examples
    --------
    >>> from skactivekd.teacher import EndpointError
    >>> issubclass(EndpointError, RuntimeError)
    True
    """


class RowRefused(Exception):
    """A row that has no answer; the text says why."""


class RowUnreadable(RowRefused):
    """A row that could not be sent."""


class Stopped(Exception):
    """Another row brought an error after which there is nothing more to ask."""


def check_url(url):
    """Return where to send questions, with "/chat/completions"; refuse keys within the url."""
    if not isinstance(url, str):
        raise TypeError(f"url is a {type(url).__name__}; pass a str as 'http://localhost:8000/v1'")
    try:
        parts = urlsplit(url)
        secret = parts.username is not None or any(
            _SECRETS.match(name) for name, _ in parse_qsl(parts.query, keep_blank_values=True)
        )
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        secret = valid = False
    if secret:
        raise ValueError(
            "url holds a password or a key, which would stand in every repr and pickle: name an "
            "environment variable that holds it in api_key_env="
        )
    if not valid or re.search(r"\s", url):
        raise ValueError(
            f"url={url!r} is no address of a server, such as 'http://localhost:8000/v1'"
        )
    path = parts.path.rstrip("/")
    path = path if path.endswith(_PATH) else path + _PATH
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


class Chat:
    """A connection to a server, for threads; a context manager.

    One try takes `timeout` seconds at most; before the second are `backoff` seconds, which double
    with each. The key stands in the header of each request, and nowhere else.
    """

    def __init__(self, url, key, timeout, max_retries, backoff):
        self.url, self.timeout = url, timeout
        self.max_retries, self.backoff = max_retries, backoff
        self.stop = threading.Event()
        self.n_requests, self.n_tokens = 0, [0, 0]
        self._lock, self._resume = threading.Lock(), 0.0
        self._clean = Cleaner(key)
        self._client = _make_client(key, timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop.set()
        self._client.close()

    def ask(self, body, read):
        """Send a question until there is an answer, and return what `read` makes of it.

        `read` raises ValueError if another try may help, LookupError if none will.
        """
        content = json.dumps(body, ensure_ascii=False).encode()
        left, waits, answered = self.max_retries, 0, self.n_requests
        while True:
            self._wait_for_turn()
            try:
                return self._try(content, read)
            except _TryAgainError as error:
                reason, asked, busy = self._clean(error), error.wait, error.busy
            # Where others get through, to be refused for the rate says nothing of this row.
            left -= not (busy and self.n_requests > answered)
            answered = self.n_requests
            if left < 0:
                raise RowRefused(f"{reason}; tried {self.max_retries + 1} times")
            self._pause(waits, asked)
            waits += 1

    def _try(self, content, read):
        status, headers, data = self._send(content)
        if status == 200:
            try:
                reply = json.loads(data)
            except (ValueError, RecursionError):
                raise _TryAgainError(f"an answer of {len(data)} bytes that is no JSON") from None
            self._count(reply)
            try:
                return read(reply)
            except LookupError as error:
                raise RowRefused(
                    f"{error.args[0]}: the server, or this model, does not tell the probabilities "
                    "of tokens (logprobs and top_logprobs)"
                ) from None
            except ValueError as error:
                raise _TryAgainError(str(error)) from None
        message = self._clean(_message(data))
        said = f"HTTP {status}" + (f": {message}" if message else "")
        if status in _BUSY or status >= 500:
            if "insufficient_quota" in message:
                raise EndpointError(f"{said}. Top up the account, then call again.")
            wait = _seconds(headers.get("retry-after"))
            raise _TryAgainError(said, wait, busy=status == 429 or wait is not None)
        if status in _ROW:
            raise RowRefused(said)
        raise EndpointError(f"{said}. {self._remedy(status, headers)}")

    def _send(self, content):
        import httpx

        deadline, data = time.monotonic() + self.timeout, bytearray()
        try:
            with self._client.stream("POST", self.url, content=content) as response:
                for part in response.iter_bytes():
                    data += part
                    if len(data) > _MOST_BYTES:
                        raise _TryAgainError(f"an answer of more than {_MOST_BYTES:,} bytes")
                    if time.monotonic() > deadline:
                        raise _TryAgainError(f"no whole answer within {self.timeout:g} s")
                return response.status_code, response.headers, bytes(data)
        except httpx.TimeoutException:
            problem = f"no answer within {self.timeout:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, RuntimeError) as error:  # the last once closed
            problem = f"{type(error).__name__}: {error}"
        # Not inside the handlers: httpx's errors hold the request, and its header the key.
        if self.stop.is_set():
            raise Stopped
        raise _TryAgainError(problem)

    def _count(self, reply):
        usage = reply.get("usage") if isinstance(reply, dict) else None
        with self._lock:
            self.n_requests += 1
            for place, name in enumerate(("prompt_tokens", "completion_tokens")):
                value = usage.get(name) if isinstance(usage, dict) else None
                if isinstance(value, int):
                    self.n_tokens[place] += value

    def _wait_for_turn(self):
        """Wait as long as the server asked for, whichever row it answered so."""
        while not self.stop.is_set():
            with self._lock:
                wait = self._resume - time.monotonic()
            if wait <= 0:
                return
            self.stop.wait(wait)
        raise Stopped

    def _pause(self, trial, asked):
        if asked is not None and asked > _LONGEST_PAUSE:
            raise EndpointError(
                f"it asks to wait {asked:.0f} s (Retry-After). Call again after that: the rows so "
                "far are kept."
            )
        # Not all threads at the same moment: their requests were refused together.
        wait = min(self.backoff * 2**trial, _LONGEST_WAIT) * random.SystemRandom().uniform(0.5, 1)
        if asked is not None:
            with self._lock:
                self._resume = max(self._resume, time.monotonic() + asked)
            return
        if self.stop.wait(wait):
            raise Stopped

    def _remedy(self, status, headers):
        if status in (401, 403):
            return "Check the key that api_key_env= names, and what it is allowed to do."
        if status == 404:
            return "Check url= (most end in /v1) and model=."
        if 300 <= status < 400:
            where = self._clean(headers.get("location", "nowhere"))
            return f"It leads to {where:.200}: set url= to what answers itself."
        return "Check url=, model= and extra=."


class _TryAgainError(Exception):
    """What another try may mend; `wait` seconds the server asked for, if it is `busy`."""

    def __init__(self, reason, wait=None, busy=False):
        super().__init__(reason)
        self.wait, self.busy = wait, busy


def _make_client(key, timeout):
    try:
        import httpx
    except ImportError:
        raise ImportError(
            'EndpointTeacher needs httpx: pip install "skactivekd[endpoint]".'
        ) from None
    from importlib.metadata import version

    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"skactivekd/{version('skactivekd')}",
    }
    if key:
        headers["Authorization"] = f"Bearer {key}"
    # Threads are as many as are wanted, so that none waits for a connection. A server that
    # redirects would be sent the rows, and maybe the key, by whoever stands there.
    limits = httpx.Limits(max_connections=None)
    return httpx.Client(headers=headers, timeout=timeout, limits=limits, follow_redirects=False)


def _message(data):
    """Return what a server says of an error."""
    try:
        reply = json.loads(data)
        error = reply.get("error", reply)
        if isinstance(error, dict):
            found = [error.get(name) for name in ("code", "message", "detail")]
            return ": ".join(str(part) for part in found if part) or str(error)
        return str(error)
    except (ValueError, AttributeError, RecursionError):
        return data.decode(errors="replace")


def _seconds(text):
    """Return the seconds of a Retry-After, None where there is none that can be read."""
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    return max(seconds, 0.0) if seconds == seconds else None
