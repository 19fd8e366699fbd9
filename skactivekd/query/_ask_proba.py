"""What a model predicts for the rows a strategy asks about."""

from .._take_rows import n_rows
from ..utils._classes import classes_of
from ..utils._proba import column_names, ordered_proba


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
