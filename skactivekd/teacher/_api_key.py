"""The key of a server: named by a variable, read when rows are asked, shown to nobody."""

import os
import re

from ..utils._check_params import WrongParameter

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_USUAL_NAME = re.compile(r"[A-Z][A-Z0-9_]*")  # what else stands in api_key_env may be the key
_SHOWN = 300  # characters of a server's message in an error


def check_key_name(name):
    """Refuse what is no name of a variable, without showing it: it may be the key."""
    if name is not None and not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise WrongParameter(
            "api_key_env must be the name of an environment variable, such as 'OPENAI_API_KEY', or "
            "None. If it is the key itself: put that into a variable, and revoke it if this object "
            "was saved or shown"
        )


def read_key(name):
    if name is None:
        return None
    key = os.environ.get(name, "").strip()
    if not key:
        which = name if _USUAL_NAME.fullmatch(name) else "that it names"
        raise ValueError(
            f"api_key_env: the environment variable {which} is not set here, or empty; set it "
            "before Python starts, or in os.environ"
        )
    if not key.isascii() or not key.isprintable():
        raise ValueError(
            f"api_key_env: the environment variable {name} holds what cannot stand in a header: "
            "letters beyond ASCII, or control characters"
        )
    return key


class Cleaner:
    """What takes a key out of texts, and shows it to nobody."""

    def __init__(self, key):
        self._key = key

    def __call__(self, text):
        text = str(text)
        if self._key:
            text = text.replace(self._key, "[key]")
        text = " ".join(text.split())
        return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."

    def __repr__(self):
        return "Cleaner()"
