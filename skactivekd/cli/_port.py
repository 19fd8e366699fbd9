"""The port of a project's page: always the same, as its browser keeps unsent answers by it."""

import errno
import socket
import zlib

from ._errors import Trouble

# Below those that systems hand out to programs that want any.
_FIRST, _N = 20_000, 10_000
_TRIES = 50


def choose_port(project, host, asked=None):
    """Return the port on which the page of a project listens.

    A browser keeps answers that it could not send by the address of the page.

    Parameters
    ----------
    project : Project
        Its settings get a port if they have none.
    host : str
    asked : int, default=None
        By `--port`, for this once; 0 is any that is free.

    Returns
    -------
    port : int

    Raises
    ------
    Trouble
        If it is taken, or none.
    """
    port = project.settings.port if asked is None else asked
    if not 0 <= port < 2**16:
        raise Trouble(f"--port must be from 0 to {2**16 - 1}, not {port}.")
    is_free(host, 0)
    if asked == 0 or (port and is_free(host, port)):
        return port
    if asked is not None:
        raise Trouble(f"Port {port} of {host} is taken; name another by --port, or 0 for any.")
    if port:
        raise Trouble(
            f"Port {port}, where the page of this project always is, is taken: it may be open "
            "already. Go on there, or end that; or open another page beside it by --port 0."
        )
    start = zlib.crc32(str(project.folder).encode("utf-8", "surrogateescape"))
    for step in range(_TRIES):
        port = _FIRST + (start + step) % _N
        if is_free(host, port):
            project.settings.port = port
            return port
    return 0


def is_free(host, port):
    """Tell whether nobody listens on a port.

    Raises
    ------
    Trouble
        If nobody may.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        where = f"--port {port} of --host {host}" if port else f"--host {host}"
        raise Trouble(f"{where} is no place for the page ({error.strerror}).") from None
    return True
