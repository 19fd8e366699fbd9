"""The student as a scikit-learn classifier."""

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from .._torch import draw_seed, resolve_device, seeded
from ._batches import RowDataset, is_channels_last
from ._heads import mix_heads
from ._net import DHONet
from ._soft_labels import SoftLabeled
from ._targets import (
    align_columns,
    check_labels,
    check_teacher_classes,
    check_teacher_proba,
    encode_labels,
    resolve_classes,
)


class DHOClassifier(ClassifierMixin, BaseEstimator):
    """Compact classifier taught by few labels and a large pretrained teacher.

    One head learns the labels, the other the teacher's probabilities on all
    rows, labelled or not; prediction mixes both. ``fit`` starts afresh,
    ``partial_fit`` and ``warm_start=True`` continue.

    Parameters
    ----------
    net : DHONet, default=None
        Unfitted net, cloned by ``fit``: backbone, epochs, learning rate, batch
        sizes and callbacks are its parameters, searchable as ``net__lr``,
        ``net__max_epochs``, ``net__module__hidden`` ... None is ``DHONet()``.
    distill_weight : float in [0, 1], default=0.5
        Weight of the teacher in the loss; 0 is plain supervised training, 1
        pure distillation.
    temperature : float > 0, default=2.0
        Softens teacher and student in the loss.
    alpha : float in [0, 1], default=0.5
        Weight of the head trained on labels in ``predict_proba``. May be
        changed after ``fit``.
    beta : float > 0, default=1.0
        Temperature of the head trained on the teacher in ``predict_proba``.
        May be changed after ``fit``.
    heads : {"dual", "single"}, default="dual"
        "single" trains one head on both losses, the classical distillation
        that DHO is measured against.
    classes : array-like of shape (n_classes,), default=None
        All classes. Needed where y may miss some and the teacher does not name
        them. Columns of a `teacher_proba` array follow this order; ``classes_``
        is sorted.
    missing_label : int, float nan, str or None, default=-1
        Marks the unlabelled rows of y.
    warm_start : bool, default=False
        Let ``fit`` continue from the last fit.
    random_state : None, int or numpy.random.RandomState, default=None
        Governs initial weights, batches and dropout. Global generators are
        neither read nor moved.
    device : {"auto"}, str, torch.device or None, default="auto"
        Where to train. "auto" takes CUDA, then MPS, then the CPU; None leaves
        it to `net`, as `AcceleratedDHONet` needs it.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted; columns of ``predict_proba`` follow them.
    net_ : DHONet
        The trained net.
    trained_heads_ : tuple of str
        Which of "ce" and "kd" has seen data. A head without data (no labels,
        or no teacher) is left out of the mixture.
    n_features_in_ : int
        Width of X seen in ``fit``; channels or height for images.
    feature_names_in_ : ndarray of str
        Column names, where X had some.

    Notes
    -----
    X is dense 2-D, CSR (made dense batch by batch), or images of shape
    (n, H, W), (n, C, H, W) or (n, H, W, C); integers are divided by 255.

    References
    ----------
    .. [1] S. Kang, D. B. Lee, H. Jang, S. J. Hwang, "Simple Semi-supervised
       Knowledge Distillation from Vision-Language Models via Dual-Head
       Optimization", arXiv:2505.07675.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd import DHOClassifier
    >>> X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> teacher_proba = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.1, 0.9]])
    >>> clf = DHOClassifier(random_state=0).fit(X, [0, -1, -1, 1], teacher_proba=teacher_proba)
    >>> clf.predict([[-3.0], [3.0]])
    array([0, 1])
    """

    def __init__(
        self,
        net=None,
        *,
        distill_weight=0.5,
        temperature=2.0,
        alpha=0.5,
        beta=1.0,
        heads="dual",
        classes=None,
        missing_label=-1,
        warm_start=False,
        random_state=None,
        device="auto",
    ):
        self.net = net
        self.distill_weight = distill_weight
        self.temperature = temperature
        self.alpha = alpha
        self.beta = beta
        self.heads = heads
        self.classes = classes
        self.missing_label = missing_label
        self.warm_start = warm_start
        self.random_state = random_state
        self.device = device

    def __sklearn_tags__(self):
        """Declare what input is taken."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def set_params(self, **params):
        """Set parameters; ``net__*`` on ``net=None`` starts from ``DHONet()``.

        Parameters
        ----------
        **params
            Parameters of the classifier, or of its net as ``net__<name>``.

        Returns
        -------
        self : DHOClassifier
        """
        if self.net is None and any(name.startswith("net__") for name in params):
            params = {"net": DHONet(), **params}
        return super().set_params(**params)

    def fit(self, X, y, teacher_proba=None):
        """Train from scratch, unless ``warm_start``.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, ...)
            Labelled and unlabelled rows.
        y : array-like of shape (n_samples,)
            Labels, `missing_label` where unknown: all, some or none.
        teacher_proba : array-like of shape (n_samples, n_classes), default=None
            The teacher's probabilities, columns in the order of `classes`, or
            of the sorted labels. In a pipeline `TeacherProba` supplies them.
            None: plain supervised training on the labelled rows.

        Returns
        -------
        self : DHOClassifier

        Raises
        ------
        ValueError
            If there is nothing to learn from, or X, y, `teacher_proba` and the
            parameters do not fit together.
        """
        return self._train(X, y, teacher_proba, keep=self.warm_start)

    def partial_fit(self, X, y, classes=None, teacher_proba=None):
        """Train on, for as many epochs as ``fit``, or start if unfitted.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, ...)
            Labelled and unlabelled rows.
        y : array-like of shape (n_samples,)
            Labels, `missing_label` where unknown.
        classes : array-like of shape (n_classes,), default=None
            All classes, for the first call; None takes those of the
            constructor, the teacher or y.
        teacher_proba : array-like of shape (n_samples, n_classes), default=None
            As for ``fit``.

        Returns
        -------
        self : DHOClassifier
        """
        return self._train(X, y, teacher_proba, keep=True, classes=classes)

    def predict_proba(self, X, head="mixed"):
        """Return class probabilities.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, ...)
            Rows of the shape seen in ``fit``.
        head : {"mixed", "ce", "kd"}, default="mixed"
            "mixed" is ``alpha * softmax(ce) + (1 - alpha) * softmax(kd /
            beta)`` over the heads that were trained.

        Returns
        -------
        proba : ndarray of float32 of shape (n_samples, n_classes)
            Columns follow ``classes_``.

        Raises
        ------
        ValueError
            If `head` is unknown or was never trained.
        """
        check_is_fitted(self)
        self._check_params()
        if head not in ("mixed", "ce", "kd"):
            raise ValueError(f"head must be 'mixed', 'ce' or 'kd', got {head!r}.")
        if head != "mixed" and head not in self.trained_heads_:
            raise ValueError(
                f"The {head!r} head was not trained: fit had no "
                f"{'labels' if head == 'ce' else 'teacher'}. Use head='mixed'."
            )
        ce_logits, kd_logits = self.net_.forward(self._rows(X))
        if head == "mixed" and self.trained_heads_ != ("ce", "kd"):
            (head,) = self.trained_heads_
        alpha, beta = self._mixture()
        alpha = {"mixed": alpha, "ce": 1, "kd": 0}[head]
        return mix_heads(ce_logits, kd_logits, alpha, beta).numpy()

    def predict(self, X):
        """Return the likeliest class of each row.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, ...)
            Rows of the shape seen in ``fit``.

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def embed(self, X):
        """Return the backbone's features, for strategies that select by them.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, ...)
            Rows of the shape seen in ``fit``.

        Returns
        -------
        features : ndarray of float32 of shape (n_samples, d)
        """
        check_is_fitted(self)
        return self.net_.embed(self._rows(X))

    def predict_proba_embed(self, X):
        """Return class probabilities and the backbone's features, from one pass over X.

        For strategies that select by both: the backbone, which takes nearly all
        of the time, runs once.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, ...)
            Rows of the shape seen in ``fit``.

        Returns
        -------
        proba : ndarray of float32 of shape (n_samples, n_classes)
            Those of `predict_proba`, to the bit.
        features : ndarray of float32 of shape (n_samples, d)
            Those of `embed`, to the bit.

        Examples
        --------
        >>> import numpy as np
        >>> from skactivekd import DHOClassifier, DHONet
        >>> X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
        >>> net = DHONet(max_epochs=5, module__hidden=16)
        >>> clf = DHOClassifier(net, random_state=0).fit(X, [0, -1, -1, 1])
        >>> proba, features = clf.predict_proba_embed(X)
        >>> proba.shape, features.shape
        ((4, 2), (4, 16))
        """
        check_is_fitted(self)
        self._check_params()
        ce_logits, kd_logits, features = self.net_.forward_embed(self._rows(X))
        alpha, beta = self._mixture()
        if self.trained_heads_ != ("ce", "kd"):
            alpha = 1 if self.trained_heads_ == ("ce",) else 0
        return mix_heads(ce_logits, kd_logits, alpha, beta).numpy(), features.numpy()

    def score(self, X, y, sample_weight=None):
        """Return the accuracy on the labelled rows.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, ...)
            Rows of the shape seen in ``fit``.
        y : array-like of shape (n_samples,)
            Labels; rows with `missing_label` do not count.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        accuracy : float

        Raises
        ------
        ValueError
            If no row is labelled.
        """
        y, labeled = check_labels(y, self.missing_label)
        if not labeled.any():
            raise ValueError("score needs labelled rows, but every entry of y is missing_label.")
        weight = None if sample_weight is None else np.asarray(sample_weight)[labeled]
        y_true = np.asarray(y[labeled].tolist())
        return accuracy_score(y_true, self.predict(X)[labeled], sample_weight=weight)

    def _train(self, X, y, teacher_proba, keep, classes=None):
        self._check_params()
        keep = keep and hasattr(self, "net_")
        X, teacher_proba, teacher_classes = _unpack(X, teacher_proba)
        X = validate_data(self, X, accept_sparse="csr", allow_nd=True, reset=not keep)
        y, labeled = check_labels(y, self.missing_label)
        check_consistent_length(X, y)
        if teacher_proba is not None:
            teacher_proba = check_teacher_proba(teacher_proba, len(y))
            check_teacher_classes(teacher_classes, self.missing_label)
        classes = self.classes if classes is None else classes
        if keep:
            self._check_same_classes(classes)
            classes = self._declared_classes
        found, columns = resolve_classes(
            y,
            labeled,
            classes,
            teacher_classes,
            None if teacher_proba is None else teacher_proba.shape[1],
        )
        codes = encode_labels(y, found, self.missing_label)
        if teacher_proba is not None and self.distill_weight > 0:
            teacher_proba = align_columns(teacher_proba, columns).astype(np.float32)
        else:
            teacher_proba = None
        trained = self._trained_heads(labeled.any(), teacher_proba is not None)
        if not keep:
            self.classes_ = found
            self._declared_classes = found if classes is None else classes
            self._row_shape = X.shape[1:]
            self._seeds = np.random.RandomState(draw_seed(self.random_state))
            self.trained_heads_ = ()
        net = self.net_ if keep else self._new_net(X, len(found))
        for name in ("distill_weight", "temperature") if keep else ():
            setattr(net.criterion_, name, getattr(self, name))
        self._fit_net(net, RowDataset(X, codes, teacher_proba), keep)
        self.net_ = net
        self.trained_heads_ = tuple(
            h for h in ("ce", "kd") if h in {*self.trained_heads_, *trained}
        )
        return self

    def _fit_net(self, net, rows, keep=False):
        # A net without a device has an accelerator that has one.
        device = net.device or getattr(net, "accelerator", net).device or "cpu"
        with seeded(draw_seed(self._seeds), torch.device(device)):
            (net.partial_fit if keep else net.fit)(rows, None)

    def _mixture(self):
        return self.alpha, self.beta

    def _new_net(self, X, n_classes):
        net = DHONet() if self.net is None else clone(self.net)
        owned = {"distill_weight", "temperature"} & set(net.get_params_for("criterion"))
        if owned:
            raise ValueError(f"Set {sorted(owned)} on DHOClassifier, not on its net.")
        net.set_params(
            n_classes=n_classes,
            input_shape=_input_shape(X.shape),
            heads=self.heads,
            criterion__distill_weight=self.distill_weight,
            criterion__temperature=self.temperature,
        )
        if self.device is not None:
            net.set_params(device=str(resolve_device(self.device)))
        return net

    def _trained_heads(self, has_labels, has_teacher):
        uses_labels = bool(has_labels) and (not has_teacher or self.distill_weight < 1)
        if not uses_labels and not has_teacher:
            raise ValueError(
                "There is nothing to learn from: no row of y is labelled and no teacher counts. "
                "Label some rows, or pass teacher_proba with distill_weight > 0."
            )
        if self.heads == "single":
            return ("ce",)
        return tuple(head for head, used in (("ce", uses_labels), ("kd", has_teacher)) if used)

    def _rows(self, X):
        X = X.X if isinstance(X, SoftLabeled) else X
        X = validate_data(self, X, accept_sparse="csr", allow_nd=True, reset=False)
        if X.shape[1:] != self._row_shape:
            raise ValueError(
                f"X has rows of shape {X.shape[1:]}, but DHOClassifier was fitted on rows of shape "
                f"{self._row_shape}."
            )
        return X

    def _check_same_classes(self, classes):
        if classes is not None and not np.array_equal(np.unique(list(classes)), self.classes_):
            raise ValueError(
                f"classes={list(classes)} differ from those of the first fit, "
                f"{self.classes_.tolist()}. Call fit on a new clone to change them."
            )

    def _check_params(self):
        for name in ("distill_weight", "alpha"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)!r}.")
        for name in ("temperature", "beta"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name)!r}.")


def _unpack(X, teacher_proba):
    """Split what TeacherProba hands over into X, probabilities and their labels."""
    if not isinstance(X, SoftLabeled):
        return X, teacher_proba, None
    if teacher_proba is not None:
        raise ValueError(
            "X comes from TeacherProba and carries teacher probabilities already; "
            "do not pass teacher_proba as well."
        )
    return X.X, X.proba, X.classes


def _input_shape(shape):
    """Shape of one row as the network sees it: (n_features,) or (C, H, W)."""
    if len(shape) == 3:
        return (1, *shape[1:])
    if is_channels_last(shape):
        return (shape[3], *shape[1:3])
    return tuple(shape[1:])
