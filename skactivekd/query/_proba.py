"""Base of the strategies that look at predicted probabilities."""

from .._rows import n_rows
from ..utils._labels import classes_of
from ..utils._proba import check_proba, column_names, ordered_proba
from ._base import QueryStrategy
from ._checks import check_n_instances, check_same_width


class ProbaStrategy(QueryStrategy):
    """Select on predicted probabilities; subclasses write `_pick`."""

    def select(self, proba_pool, proba_labeled=None, n_instances=1):
        """Choose rows of a matrix of probabilities.

        Parameters
        ----------
        proba_pool : array-like or tensor of shape (n_pool, n_classes)
            Predicted probabilities of the samples to choose from.
        proba_labeled : array-like or tensor of shape (n_labeled, n_classes), default=None
            Predictions of the same model for the labelled samples. None: no
            sample is labelled yet.
        n_instances : int, default=1
            Samples to choose.

        Returns
        -------
        indices : ndarray of int64 of shape (n_instances,)
            Rows of `proba_pool` in order of selection; ties go to the lowest.

        Warns
        -----
        UserWarning
            If `n_instances` exceeds n_pool: the whole pool is returned.

        Raises
        ------
        ValueError
            If the pool is empty, a row is not a probability distribution (it
            is named), or the two matrices differ in width.
        """
        pool = check_proba(proba_pool, "proba_pool")
        labeled = pool[:0]
        if proba_labeled is not None:
            labeled = check_proba(proba_labeled, "proba_labeled")
            check_same_width(pool, "proba_pool", labeled, "proba_labeled")
        return self._pick(pool, labeled, check_n_instances(n_instances, len(pool)))

    def _view(self, model, X):
        return ask_proba(self, model, X)

    def _model(self, learner):
        return learner


def ask_proba(strategy, model, X):
    """Return what `model` predicts for X, or name who needs predictions and gets none."""
    check_predicts(strategy, model)
    proba, classes = model.predict_proba(X), classes_of(model)
    name = f"predict_proba of {type(model).__name__}"
    if column_names(proba, name) is not None and classes is not None:
        return ordered_proba(proba, classes, name, n_rows=n_rows(X))
    return proba


def check_predicts(strategy, model):
    """Raise TypeError, which names the strategy, for a model without probabilities."""
    if not hasattr(model, "predict_proba"):
        name, got = type(strategy).__name__, type(model).__name__
        if not hasattr(model, "learner_list"):  # modAL's committees have no repr
            got = repr(model)
        raise TypeError(f"{name} needs an estimator with predict_proba, got {got}.")
