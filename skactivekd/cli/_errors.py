"""What goes wrong for a person at the shell: one sentence that says what to do, and status 2."""

import errno
import os
import sqlite3
import unicodedata
from contextlib import contextmanager

import click

TRACEBACK = "SKACTIVEKD_TRACEBACK"  # set in the environment, errors show where they came from


class Trouble(click.ClickException):
    """A sentence for the person; the command ends with status 2."""

    exit_code = 2

    def show(self, file=None):
        """Write the sentence to standard error."""
        click.echo(f"skactivekd: {printable(self.message)}", file=file, err=file is None)


@contextmanager
def in_words():
    """Turn every error that is raised inside into `Trouble`."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort, KeyboardInterrupt):
        raise
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        raise Trouble(explain(error)) from error


def explain(error):
    """Return an error as one sentence."""
    if isinstance(error, OSError):
        return _explain_file(error)
    if isinstance(error, sqlite3.Error):
        return f"The project's files cannot be used by SQLite: {one_line(error)}."
    if isinstance(error, MemoryError):
        return "The memory is too small for this; take fewer rows, or a smaller student."
    if isinstance(error, ValueError | TypeError | ImportError | RuntimeError | LookupError):
        return one_line(error) or type(error).__name__
    return (
        f"{type(error).__name__}: {one_line(error)} (This should not happen; {TRACEBACK}=1 shows "
        "where it did. No answer is lost.)"
    )


def _explain_file(error):
    said = one_line(error.strerror or error)
    name = f"{error.filename}: " if error.filename is not None and error.strerror else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{name}{said}: there is no room left. Make some, and run the command again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{name}{said}. Get the right to it, or choose another place by --project or --out."
    return f"{name}{said}"


def one_line(message):
    """Return a message without line ends."""
    lines = [line.strip() for line in str(message).splitlines()]
    return " ".join(line for line in lines if line)


def printable(text):
    """Return a text that every terminal takes: no control characters, no half of a character."""
    return "".join(c if is_shown(c) or c == "\n" else repr(c)[1:-1] for c in str(text))


def is_shown(text):
    """Tell texts without control characters and halves of characters."""
    return all(unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") for c in text)
