"""Estimators of the cells: student x teacher x method, all on row numbers."""

from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skactivekd import (
    CLAPTeacher,
    DHOClassifier,
    DHONet,
    LabeledOnly,
    TeacherProba,
    TipAdapterTeacher,
)

from ._rows import Rows
from .baselines import BASELINES, logistic
from .dho_cv import DHOClassifierCV
from .feature_kd import FeatureKD, FeatureNet
from .inputs import EmbeddingBag

# Chosen on development splits. Learning rate and passes are those of DHONet where not named.
NETS = {
    "mlp": {"max_epochs": 160, "lr": 3e-3, "batch_size": 80},
    "cnn": {"max_epochs": 160, "lr": 3e-3, "batch_size": 80},
    "lsa": {"max_epochs": 100, "lr": 1e-2, "module__hidden": 256},
    "bag": {"max_epochs": 100, "lr": 1e-2, "module": EmbeddingBag},
}
# The fixed mixture of two heads, as published, and what it is measured against.
DHO = {"heads": "dual", "distill_weight": 0.5, "alpha": 0.5, "beta": 1.0}
FIXED = {
    "none": DHO,
    "single": {**DHO, "heads": "single"},
    "dho": DHO,
    "kd": {**DHO, "alpha": 0},
}
METHODS = ("default", *FIXED, "feature", "dho-cv", *BASELINES, "embedding-logistic")


def estimator(task, student, teacher, method):
    """Make the estimator of a cell.

    Parameters
    ----------
    task : Task
    student : {"mlp", "cnn", "lsa", "bag"}
    teacher : {"zero-shot", "clap", "tip-adapter"}
    method : str
        One of `METHODS`: "default", `DHOClassifier` with no parameter set but its backbone; "none",
        no distillation; "single", one head for both losses; "dho", two heads; "kd", the teacher's
        head of these alone; "feature", imitated embeddings; "dho-cv", two heads mixed as suits the
        labels; baselines of scikit-learn; and "embedding-logistic", on the encoder's embeddings,
        which alone runs the encoder when it predicts.

    Returns
    -------
    estimator : estimator
        Fits on the row numbers of the pool.
    """
    features, embeddings = Rows(task.inputs[student]), Rows(task.embeddings)
    if method == "feature":
        net = FeatureNet(**NETS[student])
        return FeatureKD(net, features, embeddings, task.n_classes)
    if method == "embedding-logistic":
        probe = LabeledOnly(logistic(), classes=range(task.n_classes))
        return make_pipeline(embeddings, StandardScaler(), probe)
    known = None if method == "none" else _teacher(task, teacher)
    return make_pipeline(TeacherProba(known, features), _learner(task, student, method))


def _learner(task, student, method):
    """Make the step that learns from labels and teacher."""
    if method in BASELINES:
        return BASELINES[method]()
    net = DHONet(**NETS[student])
    if method == "dho-cv":
        return DHOClassifierCV(net, task.n_classes)
    if method != "default":
        return DHOClassifier(net, **FIXED[method], classes=range(task.n_classes))
    backbone = {name: value for name, value in NETS[student].items() if name.startswith("module")}
    return DHOClassifier(DHONet(**backbone), classes=range(task.n_classes))


def _teacher(task, name):
    if name == "zero-shot":
        return task.proba[task.pool]
    few_shot = {"clap": CLAPTeacher, "tip-adapter": TipAdapterTeacher}[name]
    return few_shot(**task.teacher, guard=False, random_state=0)
