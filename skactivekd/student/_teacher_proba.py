"""The pipeline step that shows the teacher each training row."""

import copy

from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_is_fitted,
    check_memory,
    validate_data,
)

from .._take_rows import check_row_count, n_rows
from ..teacher._ask_once import check_cache
from ..teacher._embedding_teacher import EncodesRows
from ..teacher._own_teacher import ask_own, asks_itself, can_be_asked, refuse_second_cache
from ..utils._asked_rows import counting
from ..utils._check_params import check_integer, naming, refuse_mask
from ..utils._matrix import as_ndarray
from ..utils._proba import check_proba, column_names, refuse_no_teacher
from ._image_files import holds_pictures, holds_texts
from ._soft_labels import SoftLabeled


def _names_features(step):
    return step.features == "passthrough" or hasattr(step.features, "get_feature_names_out")


class TeacherProba(TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):
    """Hand the student its training rows together with the teacher's view of them.

    Put it before `DHOClassifier` in a pipeline. As with scikit-learn's
    ``TargetEncoder``, ``fit_transform`` differs from ``transform`` on purpose:
    in ``fit_transform`` the teacher sees every raw row and its probabilities
    travel along with X; ``transform`` passes X alone, so that the teacher
    never runs at prediction.

    .. versionadded:: 0.1

    Parameters
    ----------
    teacher : estimator, callable, array-like or None, default=None
        Anything with ``predict_proba``; a function from X to probabilities of
        shape (n_samples, n_classes); or these probabilities, row by row those
        of the X given to ``fit``. Columns of a data frame are matched by name.
        An estimator is cloned and fitted on (X, y),
        y with its unlabeled rows, so that a few-shot teacher learns from the
        labels so far each time: wrap one that cannot tell these rows in
        `LabeledOnly`, one that is fitted already in
        ``sklearn.frozen.FrozenEstimator``. Functions and objects that are no
        estimators are shared by clones. None: no teacher.
    features : "passthrough" or transformer, default="passthrough"
        What makes the student's input out of X; the teacher sees the raw X.
        Raw texts for the teacher and TF-IDF for the student, say. Image files
        pass through: the student reads them itself.
    memory : None, str or joblib.Memory, default=None
        Where to keep fitted features and teacher probabilities on disk, as in
        ``sklearn.pipeline.Pipeline``. Teachers that encode keep their
        embeddings in a cache of their own, row by row, without it.
    encoder_at_predict : bool, default=False
        Let `features` be an encoder, an `Embedder` say. The student then learns
        from its embeddings and is small, but each prediction needs the large
        encoder too; without this name it is refused.
    teacher_views : {"once", "augmented"}, default="once"
        "once": the teacher sees each row as it is, once. "augmented": in
        training it also sees every random view that the student gets of an
        image (`augment` of `DHONet`), as published [1]_; this takes its time at
        each step, nothing of it is kept, and each ``fit`` trains anew.
    cache : EmbeddingCache, False or None, default=None
        Where the answers of functions and classifiers of your own are kept, so
        that they are asked for each row once: None is one memory for the process,
        an `EmbeddingCache` with a path a file, False nowhere. Into a file go those
        of a teacher with a method ``fingerprint()`` only, as told below. Encoders,
        `GenerativeTeacher` and `EndpointTeacher` have a `cache` of their own.
    batch_size : int or None, default=None
        Rows for which such a teacher is asked in one call; each batch is kept
        before the next is asked. None is all rows in memory, 64 with a file.
    verbose : int, default=0
        1 or more shows a progress bar of the rows that such a teacher is asked.

    Attributes
    ----------
    teacher_ : estimator, callable or array
        The fitted teacher.
    n_asked_, n_kept_ : int
        Rows for which the last ``fit`` asked the teacher (of teachers with an
        encoder: rows that it encoded), and rows whose answers were there.
    features_ : transformer or "passthrough"
        The fitted transformer.
    n_features_in_ : int
        Width of X, where it has one.

    See Also
    --------
    DHOClassifier : The student that comes after it.
    LabeledOnly : Makes a teacher of a classifier that knows no unlabeled rows.

    Notes
    -----
    A teacher of your own has to answer for each row by itself, whatever rows come
    with it; where it does not, set ``cache=False``. Rows are known by their content,
    as those of encoders. A teacher is known by its ``fingerprint()``, a str of all that
    its answers depend on (of an estimator: what it learned, too); a function may have
    one as an attribute. Without one it is known, in this process, by its state: code,
    attributes, and the variables that its code reads. Where that cannot be seen,
    answers are kept for this very object, with a warning when they are used; those of
    an object with ``fit`` are not kept then. Classifiers of scikit-learn and its
    like, and pipelines of them, learn anew at each ``fit`` and are asked anew.

    References
    ----------
    .. [1] "PCoreSet: Effective Active Learning through Knowledge Distillation
       from Vision-Language Models", arXiv:2506.00910.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from skactivekd import DHOClassifier, TeacherProba
    >>> X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> teacher_proba = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.1, 0.9]])
    >>> student = DHOClassifier(classes=[0, 1], random_state=0)
    >>> pipe = make_pipeline(TeacherProba(teacher_proba), student)
    >>> pipe.fit(X, [0, -1, -1, -1]).predict([[-3.0], [3.0]])
    array([0, 1])
    """

    def __init__(
        self,
        teacher=None,
        features="passthrough",
        memory=None,
        encoder_at_predict=False,
        teacher_views="once",
        cache=None,
        batch_size=None,
        verbose=0,
    ):
        self.teacher = teacher
        self.features = features
        self.memory = memory
        self.encoder_at_predict = encoder_at_predict
        self.teacher_views = teacher_views
        self.cache = cache
        self.batch_size = batch_size
        self.verbose = verbose

    def __sklearn_clone__(self):
        # A copy of a function's object would be another teacher, to be asked anew.
        if _is_estimator(self.teacher) or not can_be_asked(self.teacher):
            return super().__sklearn_clone__()
        bare = copy.copy(self)
        bare.teacher = None
        return super(TeacherProba, bare).__sklearn_clone__().set_params(teacher=self.teacher)

    def __sklearn_tags__(self):
        """Declare what input is taken."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X, y=None):
        """Fit the features and the teacher.

        Parameters
        ----------
        X : array-like, sparse matrix, or sequence of texts, paths or images
            The rows as the teacher takes them.
        y : array-like of shape (n_samples,), default=None
            Labels, with unlabeled rows; few-shot teachers learn from them.

        Returns
        -------
        self : TeacherProba
        """
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X, y=None):
        """Fit, and return X with the teacher's probabilities.

        Parameters
        ----------
        X : array-like, sparse matrix, or sequence of texts, paths or images
            The rows as the teacher takes them.
        y : array-like of shape (n_samples,), default=None
            Labels, with unlabeled rows; few-shot teachers learn from them.

        Returns
        -------
        X_out : SoftLabeled, or array where there is no teacher
            For `DHOClassifier`. Any other step before it would lose the
            teacher, and is refused.

        Raises
        ------
        ValueError
            If X is raw text and `features` is "passthrough", or `features`
            runs an encoder that is not asked for, or probabilities do not have
            a row for each of X.
        TypeError
            If `teacher` is neither a classifier, nor a function, nor a matrix.
        """
        memory = check_memory(self.memory)
        self._check_settings(X)
        X_out = self._fit_features(X, y, memory)
        self.teacher_, self.n_asked_, self.n_kept_ = None, 0, 0
        if self.teacher is None:
            return X_out
        if isinstance(self.teacher, type):
            raise TypeError(f"teacher is the class {self.teacher.__name__}; pass an object of it.")
        asking = {name: getattr(self, name) for name in ("cache", "batch_size", "verbose")}
        with counting() as asked:
            if hasattr(self.teacher, "predict_proba"):
                teacher = clone(self.teacher) if _is_estimator(self.teacher) else self.teacher
                teach = memory.cache(_teach, ignore=["asking"])
                name = "teacher.predict_proba(X)"
                self.teacher_, proba, names = teach(teacher, X, y, asking)
            elif callable(self.teacher):
                # Not kept in `memory`, which knows a function by its name alone.
                name = "teacher(X)"
                self.teacher_ = self.teacher
                proba, names = ask_own(self.teacher, X, name, **asking)
            else:
                self.teacher_ = answer = _check_matrix(self.teacher, X)
                name = "teacher"
                proba = as_ndarray(check_proba(answer, name, n_rows=n_rows(X)))
                names = column_names(answer, name)
        if can_be_asked(self.teacher):
            self.n_asked_, self.n_kept_ = asked.rows, max(n_rows(X) - asked.rows, 0)
        classes = getattr(self.teacher_, "classes_", None)
        if names is None and classes is not None and len(classes) != proba.shape[1]:
            raise ValueError(
                f"{name} has {proba.shape[1]} columns, but teacher.classes_ names {len(classes)}."
            )
        views = _without_cache(self.teacher_) if self.teacher_views == "augmented" else None
        classes = classes if names is None else names
        return SoftLabeled(X_out, proba, classes, names is not None, views)

    def transform(self, X):
        """Return the student's input; the teacher is not run.

        Parameters
        ----------
        X : array-like, sparse matrix, or sequence of texts, paths or images
            Rows of the kind seen in ``fit``.

        Returns
        -------
        X_out : array or sparse matrix of shape (n_samples, ...), or X itself
            Image files stay what they are.
        """
        check_is_fitted(self)
        if self.features_ == "passthrough":
            return self._validate(X, reset=False)
        X_out = self.features_.transform(X)
        check_row_count(X_out, X, f"features={type(self.features).__name__}")
        return X_out

    @available_if(_names_features)
    def get_feature_names_out(self, input_features=None):
        """Return the names of the student's features.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of X.

        Returns
        -------
        names : ndarray of str
        """
        check_is_fitted(self)
        if self.features_ == "passthrough":
            return _check_feature_names_in(self, input_features)
        return self.features_.get_feature_names_out(input_features)

    def _check_settings(self, X):
        if self.batch_size is not None:
            check_integer(self.batch_size, "batch_size", 1)
        kept = check_cache(self.cache, "TeacherProba")
        if self.cache is not None and kept is not None:
            refuse_second_cache(self.teacher)
        if self.teacher_views not in ("once", "augmented"):
            raise ValueError(
                f"teacher_views must be 'once' or 'augmented', got {self.teacher_views!r}."
            )
        if self.teacher_views == "once":
            return
        images = holds_pictures(X) or getattr(X, "ndim", 0) in (3, 4)
        if not images or self.features != "passthrough":
            raise ValueError(
                "teacher_views='augmented' is for images that the student reads itself: X must "
                "hold images, and features must be 'passthrough'."
            )
        if not can_be_asked(self.teacher):
            raise ValueError(
                "teacher_views='augmented' needs a teacher that can be asked, with predict_proba "
                f"or a function, got {type(self.teacher).__name__}."
            )

    def _fit_features(self, X, y, memory):
        if self.features == "passthrough":
            self.features_ = "passthrough"
            return self._validate(X, reset=True)
        if not self.encoder_at_predict and _runs_encoder(self.features):
            raise ValueError(
                f"features={self.features!r} would run the large encoder at every prediction. If "
                "that is what you want, set encoder_at_predict=True; if the student is to be "
                "small, let it read X itself: leave features out for images, and take "
                "TfidfVectorizer() for texts."
            )
        self.features_, X_out = memory.cache(_fit_transform)(clone(self.features), X, y)
        check_row_count(X_out, X, f"features={type(self.features).__name__}")
        if hasattr(self.features_, "n_features_in_"):
            self.n_features_in_ = self.features_.n_features_in_
        return X_out

    def _validate(self, X, reset):
        if holds_texts(X):
            raise ValueError(
                "X holds texts, which the student cannot take as numbers. Give "
                "TeacherProba(features=...) a transformer that makes its input, such as "
                "TfidfVectorizer(). (If they are to be paths: the first of them name no files.)"
            )
        if holds_pictures(X):
            if reset and hasattr(self, "n_features_in_"):
                del self.n_features_in_
            return X
        refuse_mask(X, "X")
        with naming("X"):
            X = X.detach() if hasattr(X, "requires_grad") else X
            return validate_data(self, X, accept_sparse="csr", allow_nd=True, reset=reset)


def _runs_encoder(features):
    """Tell whether a transformer, or a part of it, embeds rows by an encoder."""
    if isinstance(features, EncodesRows):
        return True
    parts = features.get_params().values() if hasattr(features, "get_params") else ()
    return any(isinstance(part, EncodesRows) for part in parts)


def _is_estimator(teacher):
    return hasattr(teacher, "get_params") and not isinstance(teacher, type)


def _without_cache(teacher):
    """Return a function that asks the teacher of views that never come again."""
    encoder = getattr(teacher, "encoder_", None)
    if asks_itself(teacher) and hasattr(teacher, "cache"):
        teacher = copy.copy(teacher)
        teacher.cache = False
    if hasattr(encoder, "cache"):
        teacher, encoder = copy.copy(teacher), copy.copy(encoder)
        encoder.cache = False
        teacher.encoder_ = encoder
    return getattr(teacher, "predict_proba", teacher)


def _teach(teacher, X, y, asking):
    if hasattr(teacher, "fit"):
        teacher = teacher.fit(X, y)
    return teacher, *ask_own(teacher, X, "teacher.predict_proba(X)", **asking)


def _fit_transform(transformer, X, y):
    return transformer, transformer.fit_transform(X, y)


def _check_matrix(proba, X):
    refuse_no_teacher(proba)
    found = n_rows(proba, "teacher")
    if found != n_rows(X):
        raise ValueError(
            f"teacher has {found} rows of probabilities for {n_rows(X)} rows of X. "
            f"Cross-validation slices X but not this parameter: pass the matrix to "
            f"DHOClassifier.fit(teacher_proba=...), which is sliced with X."
        )
    return proba
