"""Files that are elsewhere: s3://, https:// and what else fsspec reads."""

import re

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # two letters at least: "C:" is a drive

_OF_THE_EXTRA = ("http", "https", "s3")


def is_url(item):
    """Tell whether this names a file elsewhere."""
    return isinstance(item, str) and URL.match(item) is not None


def check_urls(items):
    """Refuse URLs for which a package is missing or that have no protocol, before one is read."""
    protocols = {}
    for row, item in enumerate(items):
        if is_url(item):
            protocols.setdefault(item.partition("://")[0], (row, item))
    for protocol, (row, item) in protocols.items():
        where = f"Row {row} of X is {item!r:.200}"
        try:
            from fsspec import get_filesystem_class
        except ImportError:
            raise ImportError(
                f'{where}, and reading URLs needs fsspec: pip install "skactivekd[url]".'
            ) from None
        try:
            get_filesystem_class(protocol)
        except ImportError as error:
            extra = ', as pip install "skactivekd[url]" does' * (protocol in _OF_THE_EXTRA)
            raise ImportError(f"{where}, but {str(error).rstrip('.')}{extra}.") from error
        except ValueError as error:
            raise ValueError(
                f"{where}, but fsspec knows no {protocol}://. Install the package that brings it, "
                "or download the files."
            ) from error


def read_url(url):
    """Return the bytes behind a URL."""
    import fsspec

    with fsspec.open(url, "rb") as file:
        return file.read()


def url_state(url):
    """Return what changes when the file behind a URL does; None where its host does not say."""
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(url)
        return str(system.ukey(path))
    except Exception:  # of as many kinds as there are hosts: reading will tell
        return None
