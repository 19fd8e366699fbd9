"""Texts in any form a user holds them."""

from .._rows import one_column
from ._errors import TextError
from ._settings import check_on_error

_SHOWN = 60  # characters of a value in a message


def check_texts(texts, on_error="raise"):
    """Validate texts.

    Parameters
    ----------
    texts : list, array or Series of str of length n
        Empty ones are welcome; also the only column of a table.
    on_error : {"raise", "skip"}, default="raise"

    Returns
    -------
    texts : list of str
        Those that are texts, in order.
    bad : dict of int to str
        The other rows and their reasons; empty unless they are to be skipped.

    Raises
    ------
    TextError
        If rows are no texts, unless they are to be skipped.
    TypeError
        If `texts` is no sequence.
    ValueError
        If it is empty, or `on_error` is neither of the two.

    Examples
    --------
    >>> from skactivekd.encoders._texts import check_texts
    >>> check_texts(["a cat", None], on_error="skip")
    (['a cat'], {1: 'None is a NoneType, not a str'})
    """
    check_on_error(on_error)
    if isinstance(texts, str | bytes):
        raise TypeError(f"texts is one {type(texts).__name__}; pass a list of str: [texts]")
    texts = one_column(texts)
    if getattr(texts, "ndim", 1) != 1 or not hasattr(texts, "__iter__"):
        shape = f" of shape {texts.shape}" if hasattr(texts, "shape") else ""
        raise TypeError(
            f"texts is a {type(texts).__name__}{shape}; pass a list of str, or one column: "
            "X['text']"
        )
    texts = list(texts)
    if not texts:
        raise ValueError("texts holds no text")
    reasons = {row: _reason(text) for row, text in enumerate(texts)}
    bad = {row: reason for row, reason in reasons.items() if reason}
    if bad and on_error == "raise":
        raise TextError(bad, "cannot be encoded")
    return [text for row, text in enumerate(texts) if row not in bad], bad


def _reason(text):
    if not isinstance(text, str):
        return f"{shorten(text)} is a {type(text).__name__}, not a str"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"{shorten(text)} has half a surrogate pair at {error.start}: no character"
    return None


def shorten(value):
    """Show a value in a message, however long it is."""
    text = repr(value[:_SHOWN] if isinstance(value, str | bytes) else value)
    return text if len(text) <= _SHOWN + 2 else text[:_SHOWN] + "..."
