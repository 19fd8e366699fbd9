"""The page on a port of this machine."""

import errno
import secrets
import socket
import sys
import threading
import webbrowser
from urllib.parse import quote

import uvicorn

from ._guard import is_loopback
from ._routes import make_app

_SWITCH = 0.0005  # seconds; a fit in Python would keep each answer waiting ten times as long


def serve(
    session,
    *,
    items,
    title,
    host="127.0.0.1",
    port=0,
    open_browser=True,
    allow_remote=False,
    guideline=None,
    on_finish=None,
    ready=None,
):
    """Serve the labeling page until a person presses "Finish", or interrupts it (Ctrl-C).

    .. versionadded:: 0.1

    Prints the address, with the token that lets its browser in.

    Parameters
    ----------
    session : LabelingSession
        Opened with ``refit=False``.
    items : Items
        What is shown of its rows.
    title : str
        Of the page.
    host : str, default="127.0.0.1"
        Address to listen on. Other than of this machine alone, it demands
        `allow_remote`.
    port : int, default=0
        0 is any that is free. With the same one each time, answers that a browser
        could not send reach the next server of this journal.
    open_browser : bool, default=True
        Whether to open the address in a browser.
    allow_remote : bool, default=False
        Whether other machines may reach the page.
    guideline : str or dict of class to str, default=None
        As for `make_app`.
    on_finish : callable, default=None
        Called without arguments when a person presses "Finish", before the server
        ends; what it returns is shown as text. None says how many labels are kept
        where. A page that other machines reach has no such button.
    ready : callable, default=None
        Called with the address when it listens.

    Raises
    ------
    ValueError
        If `host` is not of this machine alone and `allow_remote` is False.
    OSError
        If the port is taken, or the host none of this machine.

    See Also
    --------
    make_app : The application alone, for a server of one's own.

    Examples
    --------
    >>> from skactivekd.app import Texts, serve
    >>> serve(
    ...     session, items=Texts(texts), title="Mail",
    ... )  # doctest: +SKIP
    Label on this page:
    """
    hosts = {"127.0.0.1", "localhost", "::1", host}
    if not is_loopback(host):
        if not allow_remote:
            raise ValueError(
                f"host={host!r} lets other machines in. Pass allow_remote=True (--allow-remote) "
                "if that is what you want, or leave it at 127.0.0.1."
            )
        hosts = {"*"}  # by which names others reach this machine, only they know
    server = None

    def finish():
        said = _tell_labels(session) if on_finish is None else on_finish()
        server.should_exit = True  # once this has been answered
        return said

    token = secrets.token_hex(16)
    app = make_app(
        session,
        items=items,
        title=title,
        token=token,
        hosts=hosts,
        guideline=guideline,
        on_finish=finish if is_loopback(host) else None,
    )
    listening = _listen(host, port)
    name = host if host not in ("0.0.0.0", "::") else socket.gethostname()
    if ":" in name:
        name = f"[{name}]"
    url = f"http://{name}:{listening.getsockname()[1]}/?token={quote(token)}"
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=2,
    )
    server = _Server(config, lambda: _announce(url, host, open_browser, ready))
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, _SWITCH))
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    finally:
        sys.setswitchinterval(before)
        listening.close()


class _Server(uvicorn.Server):
    """Says when it listens, and ends in order however often Ctrl-C is pressed."""

    def __init__(self, config, announce):
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets=None):
        """Begin to listen."""
        await super().startup(sockets=sockets)
        if self.started:
            self._announce()

    def handle_exit(self, sig, frame):
        """Take the first signal; a second one would cut off the student in its thread."""
        if not self.should_exit:
            super().handle_exit(sig, frame)


def _tell_labels(session):
    n = session.progress(fresh=False)["labels"]
    return f"{n} items are labeled. All answers are in {session.journal}."


def _listen(host, port):
    if not 0 <= port < 2**16:
        raise ValueError(f"port={port} is none: ports go from 0 to 65535.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            said = f"Port {port} of {host} is taken by another program; choose another port, or 0"
        else:
            said = f"{host} port {port} cannot be listened on ({error.strerror})"
        raise OSError(error.errno, said) from error


def _announce(url, host, open_browser, ready):
    local = is_loopback(host)
    end = 'End it by "Finish" on the page, or by Ctrl-C here' if local else "End it by Ctrl-C"
    print(f"Label on this page:\n\n    {url}\n\n{end}; every answer is kept.", flush=True)
    if not local:
        print(
            f"Other machines can reach {host}: whoever has this address can see all items and "
            "answer, and the connection is not encrypted.",
            flush=True,
        )
    if ready is not None:
        ready(url)
    if open_browser:
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
