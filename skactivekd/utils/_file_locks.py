"""File systems without file locks, found out at once."""

import errno
import os
import tempfile

try:
    import fcntl
except ImportError:  # Windows, whose file systems have locks
    fcntl = None


# What the system says of a file system that has none.
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}


def check_locks(path, what):
    """Raise where the file system of a file has no locks; else files there could be ruined."""
    if fcntl is None:
        return
    try:
        # Not the file itself: to close it would end this process's own locks on it.
        file = tempfile.TemporaryFile(dir=_folder(path))
        mode = fcntl.LOCK_EX
    except OSError:  # nothing can be written here, so there are no locks to write under
        if not os.path.isfile(path):
            return
        try:
            file = open(path, "rb")
        except OSError:  # whoever opens it will tell
            return
        mode = fcntl.LOCK_SH
    with file:
        try:
            fcntl.lockf(file, mode | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):  # locked by another process
                raise no_locks(path, what, error) from error


def no_locks(path, what, error):
    """Return the error that says what to do where a file system has no locks."""
    code = getattr(error, "errno", None) or errno.ENOLCK
    return OSError(
        code,
        f"{what} needs file locks, which the file system of this file has not ({error}): choose a "
        "path on a local disk, or on a network drive that is mounted with locks",
        path,
    )


def _folder(path):
    """Return the closest folder that exists."""
    folder = os.path.dirname(os.path.abspath(path))
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return folder
