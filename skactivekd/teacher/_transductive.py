"""Transduction: the unlabeled pool corrects what the names of the classes say of it."""

from dataclasses import dataclass

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from .._take_rows import n_rows
from ..encoders._base import encode_rows
from ..utils._check_params import check_integer, check_number
from ..utils._labels import encode_labels
from ._embedding_teacher import EmbeddingTeacher, FewShotTeacher, Teacher
from ._zero_shot import ZeroShotTeacher

_BLOCK = 2**22  # logits at a time, 32 MiB of float64
_LEAST_PROBA = 1e-6  # of a class, whose logarithm is taken
_FLAT = 1e-3  # least variance of a dimension, as a share of their mean: a constant one says nothing
_ALIKE = 1e-9  # variance of rows that single precision cannot tell apart
_FAINT = 1e-6  # share that a row has at least in what the teacher says of it
_SILENT = 1e-4  # spread of the opinions that such rows lead to, by rounding
_ROWS_PER_CLASS = 2.0  # rows of the pool for each class at which the clusters have half a voice


class TransductiveTeacher(Teacher):
    r"""Teacher whose opinion of a row is corrected by where the pool's other rows lie.

    The rows of the pool form clusters that the names of the classes do not know of. Here each
    class is a Gaussian around embeddings, with one diagonal covariance for all, of the rows as far
    as the teacher gives them to the class:

    .. math:: z_{ic} \propto p_{ic} \exp(\tau g_{ic}), \qquad
       g_{ic} = -\tfrac12 (f_i - \mu_c)^\top \Sigma^{-1} (f_i - \mu_c), \qquad
       \mu_c = \frac{\sum_i z_{ic} f_i}{\sum_i z_{ic}}

    from :math:`z = p`, the teacher's probabilities, for `max_iter` rounds. No label is needed; rows
    that have one count for its class alone. A row that comes later is judged by the same classes.

    .. versionadded:: 0.1

    Parameters
    ----------
    estimator : teacher or None, default=None
        A teacher on embeddings: `ZeroShotTeacher`, `CLAPTeacher` or `TipAdapterTeacher`, not
        fitted. None is ``ZeroShotTeacher()``, which knows handwritten digits.
    weight : float, default=1.0
        How loud the clusters speak: their logits have this many times the spread of the teacher's,
        less in a pool of few rows for each class, and beside a few-shot teacher, the more labels it
        has learned from. 0 leaves the teacher alone.
    max_iter : int, default=2
        Rounds. More of them let few broad classes drift away from their names; see Notes.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; columns of `predict_proba` follow them.
    estimator_ : teacher
        The fitted teacher.
    encoder_ : object
        The encoder in use.
    means_ : ndarray of float64 of shape (n_classes, d)
        :math:`\mu`.
    variances_ : ndarray of float64 of shape (d,)
        The diagonal of :math:`\Sigma`.
    tau_ : float
        :math:`\tau`.
    agreement_ : float
        Share of the pool's rows that the clusters alone give to the teacher's class, in [0, 1].
        Near that of a guess, the clusters are about something else than the classes.
    n_rows_ : int
        Rows of the pool that were looked at.

    See Also
    --------
    ZeroShotTeacher : Names alone.
    CLAPTeacher : Learns from labels; the two can be combined.

    Notes
    -----
    The model is that of TransCLIP [1]_ without its graph of neighbors. Its rounds go on until
    nothing changes, with densities at face value, which in hundreds of dimensions outvote the
    names: few broad classes then drift away from them. Here :math:`\tau` gives the
    clusters and the names an equal voice, rounds are few, and the sum is scaled back to the spread
    of the teacher's logits, so that it is no surer than before. The pool should look like the rows
    to be judged: from one that lacks most of the classes it learns nothing of these.

    It costs two passes over the pool's embeddings a round.

    References
    ----------
    .. [1] M. Zanella, B. Gerin, I. Ben Ayed. "Boosting Vision-Language Models with Transduction".
       NeurIPS 2024. arXiv:2406.01837.

    Examples
    --------
    >>> from skactivekd import ZeroShotTeacher, load_glyph_digits
    >>> from skactivekd.teacher import TransductiveTeacher
    >>> X, y = load_glyph_digits(return_X_y=True)
    >>> teacher = TransductiveTeacher().fit(X[:1000])
    >>> bool(teacher.score(X[1000:], y[1000:]) > ZeroShotTeacher().fit().score(X[1000:], y[1000:]))
    True
    """

    def __init__(self, estimator=None, *, weight=1.0, max_iter=2):
        self.estimator = estimator
        self.weight = weight
        self.max_iter = max_iter

    @property
    def missing_label(self):
        """What marks the unlabeled rows of y, as the teacher has it."""
        return self._teacher().missing_label

    def fit(self, X, y=None):
        """Fit the teacher, and the clusters to the rows of the pool.

        Parameters
        ----------
        X : array-like of n samples
            The pool, labeled rows and unlabeled ones; each is encoded once.
        y : array-like of shape (n,), default=None
            Labels among the classes of the teacher; its `missing_label` marks rows without.

        Returns
        -------
        self : TransductiveTeacher

        Raises
        ------
        ValueError
            If X is None or has no row that can be encoded, a label is not among the classes, or
            a parameter has a wrong value.
        TypeError
            If `estimator` is no teacher on embeddings.
        """
        check_number(self.weight, "weight", 0)
        check_integer(self.max_iter, "max_iter", 1)
        teacher = self._teacher()
        if X is None:
            raise ValueError(
                "X is None; TransductiveTeacher learns from the pool: fit(X), or fit(X, y)"
            )
        try:
            teacher = clone(teacher)
        except TypeError as error:
            raise TypeError(
                f"A parameter of estimator={type(teacher).__name__}(...) cannot be copied "
                f"({error}); give its classes and templates as lists"
            ) from None
        teacher = teacher.fit(X, y)
        codes = np.full(n_rows(X), -1)
        if y is not None:
            codes = encode_labels(y, teacher.classes_, teacher.missing_label, n_rows=n_rows(X))
        width = teacher.class_embeddings_.shape[1]
        embeddings = np.asarray(encode_rows(teacher.encoder_, X, width))
        known = np.flatnonzero(~np.isnan(embeddings).any(axis=1))
        if not len(known):
            raise ValueError("X has no row that the encoder could read: there is no pool")
        pool = embeddings[known], _log_proba(teacher, embeddings[known]), codes[known]
        learned = isinstance(teacher, FewShotTeacher)
        voice = _voice(self.weight, *pool[1].shape, np.sum(codes >= 0) if learned else 0)
        clusters = _settle(*pool, voice, int(self.max_iter))
        self.means_, self.variances_, self.tau_ = clusters.means, clusters.variances, clusters.tau
        self.agreement_, self.n_rows_ = _agreement(clusters, *pool[:2]), len(known)
        self.classes_, self.encoder_, self.estimator_ = teacher.classes_, teacher.encoder_, teacher
        self._clusters = clusters
        return self

    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like of n samples
            What the encoder takes.

        Returns
        -------
        proba : ndarray of float32 of shape (n, n_classes)
            Columns in the order of `classes_`. Rows that the encoder skipped are uniform.

        Raises
        ------
        ValueError
            If X has another form or rows cannot be encoded; all are named.
        """
        from scipy.special import softmax

        check_is_fitted(self)
        width = self.estimator_.class_embeddings_.shape[1]
        embeddings = np.asarray(encode_rows(self.encoder_, X, width))
        known = ~np.isnan(embeddings).any(axis=1)
        proba = np.full((len(embeddings), len(self.classes_)), 1 / len(self.classes_), np.float32)
        for block in _blocks(len(embeddings), len(self.classes_)):
            rows = block.start + np.flatnonzero(known[block])
            log_proba = _log_proba(self.estimator_, embeddings[rows])
            logits = self._clusters.logits(embeddings[rows], log_proba)
            proba[rows] = softmax(self._clusters.scale * logits, axis=1)
        return proba

    def _teacher(self):
        teacher = ZeroShotTeacher() if self.estimator is None else self.estimator
        if not isinstance(teacher, EmbeddingTeacher):
            raise TypeError(
                f"estimator={teacher!r} must be a teacher on embeddings: ZeroShotTeacher(...), "
                "CLAPTeacher(...) or TipAdapterTeacher(...)"
            )
        return teacher

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inside = self._teacher().__sklearn_tags__()
        tags.input_tags, tags.target_tags = inside.input_tags, inside.target_tags
        tags.transformer_tags = inside.transformer_tags
        return tags


@dataclass
class _Clusters:
    """A Gaussian for each class, of equal diagonal covariance, and how loud they speak."""

    means: np.ndarray
    variances: np.ndarray
    tau: float = 0.0
    scale: float = 1.0  # of what both say, so that it is no surer than the teacher

    def opinion(self, embeddings):
        """Log-densities, but for what all classes share."""
        precise = self.means / self.variances
        return embeddings @ precise.T - (precise * self.means).sum(axis=1) / 2

    def logits(self, embeddings, log_proba):
        """What teacher and clusters say together."""
        return log_proba + self.tau * self.opinion(embeddings)


def _voice(weight, n_rows, n_classes, n_labels):
    """How loud clusters speak beside a teacher that learned from `n_labels` labels.

    A label of each class teaches it about what the clusters know.
    """
    crowded = n_rows / (n_rows + _ROWS_PER_CLASS * n_classes)
    return float(weight) * crowded * n_classes / (n_classes + n_labels)


def _settle(embeddings, log_proba, codes, voice, max_iter):
    """Move clusters to the rows that they and the teacher give them, `max_iter` times."""
    blocks = _blocks(*log_proba.shape)
    loud = _spread(log_proba[rows] for rows in blocks)
    clusters = None
    for _ in range(max_iter):
        clusters = _gaussians(embeddings, log_proba, codes, clusters)
        heard = _spread(clusters.opinion(embeddings[rows]) for rows in blocks)
        clusters.tau = voice * loud / heard if heard > _SILENT else 0.0
        both = _spread(clusters.logits(embeddings[rows], log_proba[rows]) for rows in blocks)
        clusters.scale = loud / both if both > 0 else 1.0
    return clusters


def _gaussians(embeddings, log_proba, codes, clusters):
    """Return the Gaussians of rows in the shares that the teacher and `clusters` give them."""
    from scipy.special import softmax

    n_classes, d = log_proba.shape[1], embeddings.shape[1]
    sums, counts, squares = np.zeros((n_classes, d)), np.zeros(n_classes), np.zeros(d)
    for rows in _blocks(*log_proba.shape):
        part = embeddings[rows].astype(float)
        logits = log_proba[rows] if clusters is None else clusters.logits(part, log_proba[rows])
        shares = softmax(logits, axis=1)
        labeled = np.flatnonzero(codes[rows] >= 0)
        shares[labeled] = np.eye(n_classes)[codes[rows][labeled]]
        # Where labels are all of other classes, a class still is somewhere.
        shares = np.maximum(shares, _FAINT * np.exp(log_proba[rows]))
        sums += shares.T @ part
        counts += shares.sum(axis=0)
        squares += np.square(part).sum(axis=0)
    means = sums / counts[:, None]
    within = (squares - (sums * means).sum(axis=0)) / counts.sum()
    return _Clusters(means, np.maximum(within, max(_FLAT * within.mean(), _ALIKE)))


def _spread(parts):
    """Root mean square of logits around the mean of their row."""
    total = n = 0
    for logits in parts:
        total += np.square(logits - logits.mean(axis=1, keepdims=True), dtype=float).sum()
        n += logits.size
    return float(np.sqrt(total / n))


def _agreement(clusters, embeddings, log_proba):
    """Share of the rows for which clusters and teacher, each alone, choose the same class."""
    same = [
        clusters.opinion(embeddings[rows]).argmax(axis=1) == log_proba[rows].argmax(axis=1)
        for rows in _blocks(*log_proba.shape)
    ]
    return float(np.concatenate(same).mean())


def _log_proba(teacher, embeddings):
    from scipy.special import log_softmax

    logits = log_softmax(teacher._logits(embeddings), axis=1)
    return np.maximum(logits, np.float32(np.log(_LEAST_PROBA)))


def _blocks(n_rows, n_classes):
    size = max(1, _BLOCK // n_classes)
    return [slice(start, start + size) for start in range(0, n_rows, size)]
