"""What all encoders share: checks, bad rows, fingerprints, and rows that are encoded once."""

import numbers
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import _safe_indexing

from .._take_rows import one_column
from ..cache._cache import DEFAULT_CACHE, EmbeddingCache
from ..cache._encoder_identity import identify, keep_identity
from ..utils._asked_rows import COUNTS
from ..utils._check_params import check_choice
from ..utils._own_fingerprint import class_name
from ..utils._remote_files import check_urls
from ..utils._row_identity import row_keys, text_keys
from ._check_embeddings import unit_rows
from ._inputs import LazyRows, is_lazy
from ._unreadable_rows import ImageError, RowError, TextError, collecting, remedy, report

ROW_METHODS = ("encode_image", "encode_audio", "encode_text")
_PACKAGE = __name__.partition(".")[0] + "."
_ERRORS = {"encode_image": ImageError, "encode_text": TextError}
_IDLE = {  # parameters that decide no embedding
    *("device", "batch_size", "n_workers", "on_error", "cache", "cache_dir", "verbose"),
    "trust_remote_code",
}


class Encoder(BaseEstimator):
    """Base of frozen encoders: checks, bad rows, norms and fingerprints are seen to here.

    A subclass takes `on_error`, `batch_size` and `cache` among its parameters and says how rows
    are embedded. For images that is

    - ``encode_image(X)``, public, with ``return self._encode("encode_image", X)``;
    - ``_embed_image(X, run)``, which returns embeddings of the good rows, an array of shape
      (n_good, d) and of any norm, or None if there is none, and the other rows with the reasons, a
      dict of int to str, empty if all are good; `run` is the same object for all batches of a
      call: ``run.model``, None at first, is the place of what is loaded once;
    - ``_identity(params, run)``: what the embeddings depend on beside the class and its
      parameters, such as the content of a model's files; None if there is nothing.

    Texts have ``encode_text`` and ``_embed_text``, sounds ``encode_audio`` and ``_embed_audio``.

    .. versionadded:: 0.1

    See Also
    --------
    OpenCLIPEncoder : One of them.
    skactivekd.utils.estimator_checks.check_encoder : What an encoder has to keep to.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd.encoders import Encoder
    >>> class LoudnessEncoder(Encoder):
    ...     def __init__(self, on_error="raise", batch_size=64, cache=None):
    ...         self.on_error, self.batch_size, self.cache = on_error, batch_size, cache
    ...
    ...     def encode_audio(self, X):
    ...         return self._encode("encode_audio", X)
    ...
    ...     def _embed_audio(self, X, run):
    ...         bad = {row: "no sound" for row, wave in enumerate(X) if not len(wave)}
    ...         levels = [np.abs(wave).mean() for wave in X if len(wave)]
    ...         return np.column_stack([np.cos(levels), np.sin(levels)]), bad
    ...
    ...     def _identity(self, params, run):
    ...         return None
    >>> LoudnessEncoder().encode_audio([np.ones(3), np.zeros(0)])
    Traceback (most recent call last):
    ...
    skactivekd.encoders._unreadable_rows.RowError: 1 row cannot be encoded; mend or leave out ...:
      row 1: no sound
    """

    _revision = 1  # to be raised when the same weights come to embed the same row otherwise

    def fingerprint(self):
        """Identify all that the embeddings depend on.

        Returns
        -------
        fingerprint : str
            Equal for encoders of the same class, weights (the content of their files, wherever
            these are) and parameters, whatever their device, batch size and cache. The first
            use of a model of the hub downloads it.

        Raises
        ------
        RuntimeError
            If the model is not on this machine and cannot be downloaded.
        """
        return self._fingerprint(Run())

    def _fingerprint(self, run):
        params = {k: v for k, v in self.get_params(deep=False).items() if k not in _IDLE}
        identity = self._identity(params, run)
        return joblib.hash((_name(type(self)), identity, params, self._revision))

    def _identity(self, params, run):
        """Return what the embeddings depend on; drop from `params` what that says already."""
        raise NotImplementedError(
            f"{type(self).__name__} must say in _identity(params, run) what its embeddings depend "
            "on beside its class and parameters, such as a model's files; None if that is nothing"
        )

    def _find_bad(self, method, X, run):
        """Return the bad rows among X and the reasons, where rows themselves are not asked for."""
        return self._embed(method, X, run)[1]

    def _encode(self, method, X):
        """Embed rows; raise, or warn of bad ones and give them nan, as `on_error` says."""
        rows, error = self._embed(method, X, Run(getattr(self, "verbose", 0)))
        if error is None:
            return rows
        if self.on_error == "raise":
            raise error
        report(error.bad, error.noun)
        return rows

    def _embed(self, method, X, run):
        """Return rows of norm 1, nan where they are bad, and what was bad: a RowError or None."""
        kind, embed = type(self).__name__, method.replace("encode", "_embed")
        for name in ("on_error", "batch_size", embed):
            if not hasattr(self, name):
                raise TypeError(
                    f"{kind} has no {name}: an Encoder takes on_error, batch_size and cache as "
                    f"parameters, and has {embed}(X, run) for its {method}."
                )
        size = self.batch_size
        if not isinstance(size, numbers.Integral) or size < 1:
            raise ValueError(f"batch_size={size!r} must be an int of at least 1")
        if self.on_error not in ("raise", "skip"):
            check_choice(self.on_error, "on_error", ("raise", "skip"))
        answer = getattr(self, embed)(X, run)
        strict = self.on_error == "raise"
        rows, bad, unusable = unit_rows(answer, X, f"{kind}.{embed}", strict)
        unread = method == "encode_image" and not unusable
        problem = "cannot be read" if unread else "cannot be encoded"
        return rows, _ERRORS.get(method, RowError)(
            bad, f"{problem}; {remedy(self)}"
        ) if bad else None


class TextEncoder(Encoder):
    """Base of encoders that embed texts, with their ``_embed_text``."""

    def encode_text(self, texts):
        """Embed texts.

        Parameters
        ----------
        texts : list, array or Series of str of length n
            Empty ones have an embedding too. One longer than the model's
            limit is cut, with a warning.

        Returns
        -------
        embeddings : ndarray of float32 of shape (n, d)
            Rows of norm 1; nan where they were skipped.

        Raises
        ------
        TextError
            If rows are no texts, or the model finds nothing in them; all are
            named. It is a TypeError and a ValueError.
        ValueError
            If there are none, a setting is wrong, or the model cannot be
            loaded or would run code of its own.
        FileNotFoundError
            If the model is a path and not there.
        RuntimeError
            If the model is not on this machine and cannot be downloaded.
        """
        return self._encode("encode_text", texts)


class Run:
    """One call for embeddings, of one batch or many: what is settled once for all of them."""

    def __init__(self, verbose=0):
        self.verbose, self.source, self.model = verbose, None, None


def row_method(encoder):
    """Name the method that embeds samples: the first of `ROW_METHODS` the encoder has."""
    return next((name for name in ROW_METHODS if hasattr(encoder, name)), None)


def encode_rows(encoder, X, width=None):
    """Embed samples of any kind, giving the encoder only rows it has not seen.

    Its `cache` says where embeddings are kept: None, one cache for the process; an
    `EmbeddingCache`; False, nowhere. Rows are float32 of norm 1, nan where they were skipped;
    bad rows are named by their place in X. An encoder that skipped all of them may not know how
    wide they are: they are as wide as `width` says.
    """
    method = row_method(encoder)
    if hasattr(encoder, "_as_rows"):  # an encoder that says itself what identifies a row
        X = encoder._as_rows(X)
    if method == "encode_image" and not isinstance(X, list | np.ndarray) and is_lazy(X):
        X = LazyRows(X)
    elif method == "encode_image" and (isinstance(X, list) or getattr(X, "ndim", 0) == 1):
        if any(isinstance(item, str) and "://" in item for item in X):
            check_urls(X)  # here, where rows have their own numbers
    rows = _encode_once(encoder, method, X, COUNTS.get())
    return rows if rows.shape[1] or not width else np.full((len(rows), width), np.nan, np.float32)


def encode_texts(encoder, texts):
    """Embed texts as `encode_rows` does samples."""
    return _encode_once(encoder, "encode_text", texts)


def remember(encoder, method):
    """Return the number that a method says of an encoder's model, asked once per cache."""
    cache, ask = _cache_of(encoder), getattr(encoder, method)
    owner = None if cache is None else owner_of(encoder, method)
    if owner is None:
        return ask()
    row = cache.fetch(owner, text_keys([method]).keys, lambda _: np.float32([[ask()]]))
    return float(row[0, 0])


def _encode_once(encoder, method, X, counts=()):
    if not isinstance(X, list) or (X and isinstance(X[0], list | tuple)):
        X = one_column(X)
    cache, call = _cache_of(encoder), _Call(encoder, method, X, counts)
    verbose, size = getattr(encoder, "verbose", 0), getattr(encoder, "batch_size", None)
    verbose = verbose if isinstance(verbose, numbers.Real) else 0
    if cache is None or call.n == 0:  # an empty X: the encoder knows what to say
        call.run.verbose = verbose
        rows = call(call.all)
        call.finish(call.all)
        return rows
    owner = owner_of(encoder, method, call.run)
    if owner is None:  # for one call, the encoder is who it is
        cache = EmbeddingCache(max_bytes=2**62)
    keys, files, order = (text_keys if method == "encode_text" else row_keys)(X)
    size = int(size) if isinstance(size, numbers.Integral) and size > 0 else 64
    options = {"files": files, "order": order, "batch_size": size, "verbose": verbose}
    try:
        rows = cache.fetch(owner or (call.name,), keys, call, **options)
    finally:
        if call.pool is not None:
            call.pool.shutdown(wait=True, cancel_futures=True)
        if call.asked and not isinstance(owner, str):
            keep_identity(encoder, owner)
    call.finish(keys)
    return rows


class _Call:
    """A method of an encoder, applied to some rows of X after others."""

    def __init__(self, encoder, method, X, counts):
        self.encoder, self.method, self.X, self.run = encoder, method, X, Run()
        self.n = X.shape[0] if hasattr(X, "shape") else len(X)
        self.all, self.name = list(range(self.n)), f"{type(encoder).__name__}.{method}"
        self.bad, self.error = {}, None  # positions and reasons; what the encoder said first
        self.pool, self.begun, self.asked, self.counts = None, {}, False, counts
        self.strict = getattr(encoder, "on_error", None) == "raise"
        self.own = isinstance(encoder, Encoder) and isowner_of(encoder, method)

    def begin(self, positions):
        """Let threads read the rows that come next, while the encoder is at work."""
        prepare = getattr(self.encoder, "_prepare_ahead", None)
        if prepare is None or self.method == "encode_text" or (self.strict and self.bad):
            return
        if self.pool is None:
            self.pool = ThreadPoolExecutor(self.encoder._count_workers(wanted=True) or 1)
        X = prepare(list(_safe_indexing(self.X, positions)), self.pool, self.run)
        if X is not None:
            self.begun[tuple(positions)] = X

    def __call__(self, positions):
        """Encode rows; nan where they are bad."""
        self.asked = True
        for asked in self.counts:
            asked.rows += len(positions)
        X = self.X if positions == self.all else _safe_indexing(self.X, positions)
        X = self.begun.pop(tuple(positions), X) if self.begun else X
        rows, error = self._ask(X)
        if error is not None:
            worse = isinstance(error, RowError) and not isinstance(self.error, RowError)
            self.error = error if worse else self.error or error
            self.bad.update((positions[row], reason) for row, reason in error.bad.items())
        if rows is None:
            return np.empty((len(positions), 0), dtype=np.float32)
        rows = np.asarray(rows, dtype=np.float32)
        self._check(rows, positions, error.bad if error else ())
        return rows

    def finish(self, keys):
        """Raise or warn of bad rows, by every place of their keys in X."""
        if self.error is None:
            return
        reasons = {keys[row]: reason for row, reason in self.bad.items()}
        bad = {row: reasons[key] for row, key in enumerate(keys) if key in reasons}
        if isinstance(self.error, RowError) and (self.strict or not self.own):
            raise type(self.error)(bad, self.error.problem, self.error.limit) from None
        report(bad, self.error.noun, stacklevel=5)

    def _ask(self, X):
        """Return rows, or None where there is none, and what was bad, an error or a warning."""
        if not self.own:
            with collecting() as warned:
                try:
                    rows = getattr(self.encoder, self.method)(X)
                except RowError as error:
                    return None, error
            for more in warned[1:]:
                warned[0].bad.update(more.bad)
            return rows, warned[0] if warned else None
        if self.strict and self.bad:  # the others are only looked at, so that all are named
            return None, self.encoder._find_bad(self.method, X, self.run)
        rows, error = self.encoder._embed(self.method, X, self.run)
        return (None if error and self.strict else rows), error

    def _check(self, rows, positions, bad):
        if rows.ndim != 2 or len(rows) != len(positions):
            raise ValueError(
                f"{self.name} returned shape {rows.shape}; it must return ({len(positions)}, d)"
            )
        norms = np.linalg.norm(rows, axis=1)
        norms[list(bad)] = 1
        wrong = np.flatnonzero(~(np.abs(norms - 1) < 1e-2))
        if len(wrong):
            raise ValueError(
                f"{self.name} returned {len(wrong)} rows that have not norm 1, the first at "
                f"{positions[wrong[0]]} with norm {norms[wrong[0]]}; divide each row by its norm"
            )


def isowner_of(encoder, method):
    """Tell whether a method is that of this package, or of a subclass that leaves it alone."""
    found = getattr(type(encoder), method, None)
    home = getattr(found, "__globals__", {}).get("__name__", "")
    return home.startswith(_PACKAGE) and method not in vars(encoder)


def owner_of(encoder, method, run=None):
    """Name who computes embeddings: an encoder of this package by itself, others as they allow."""
    kind = type(encoder)
    if kind.__module__.startswith(_PACKAGE) and isowner_of(encoder, method):
        return f"{_name(kind)}.{method} {encoder._fingerprint(run or Run())}"
    return identify(encoder, method)


def _name(kind):
    """Name a class wherever it lives in this package, or as every process calls it."""
    own = kind.__module__.startswith(_PACKAGE)
    return _PACKAGE + kind.__qualname__ if own else class_name(kind)


def _cache_of(encoder):
    cache = getattr(encoder, "cache", None)
    if cache is None:
        return DEFAULT_CACHE
    if cache is False:
        return None
    if not isinstance(cache, EmbeddingCache):
        raise TypeError(
            f"{type(encoder).__name__}.cache is {cache!r}; it must be None (one cache for the "
            "process), an EmbeddingCache, or False (no cache)"
        )
    return cache
