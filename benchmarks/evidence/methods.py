"""Estimators of the cells: student x teacher x method, all on row numbers."""

from sklearn.pipeline import make_pipeline

from skactivekd import CLAPTeacher, DHOClassifier, DHONet, TeacherProba, TipAdapterTeacher

from ._rows import Rows
from .feature_kd import FeatureKD, FeatureNet
from .students import EmbeddingBag

# Chosen on development splits. Learning rate and passes are those of DHONet where not named.
NETS = {
    "mlp": {"max_epochs": 160, "lr": 3e-3, "batch_size": 80},
    "cnn": {"max_epochs": 160, "lr": 3e-3, "batch_size": 80},
    "lsa": {"max_epochs": 100, "lr": 1e-2, "module__hidden": 256},
    "bag": {"max_epochs": 100, "lr": 1e-2, "module": EmbeddingBag},
}
METHODS = ("none", "single", "feature", "dho")


def estimator(task, student, teacher, method):
    """Make the estimator of a cell.

    Parameters
    ----------
    task : Task
    student : {"mlp", "cnn", "lsa", "bag"}
    teacher : {"zero-shot", "clap", "tip-adapter"}
    method : {"none", "single", "feature", "dho"}
        No distillation, one head for both losses, imitated embeddings, two heads.

    Returns
    -------
    estimator : estimator
        Fits on the row numbers of the pool.
    """
    features = Rows(task.inputs[student])
    if method == "feature":
        net = FeatureNet(**NETS[student])
        return FeatureKD(net, features, Rows(task.embeddings), task.n_classes)
    classifier = DHOClassifier(
        DHONet(**NETS[student]),
        heads="single" if method == "single" else "dual",
        classes=range(task.n_classes),
    )
    known = None if method == "none" else _teacher(task, teacher)
    return make_pipeline(TeacherProba(known, features), classifier)


def _teacher(task, name):
    if name == "zero-shot":
        return task.proba[task.pool]
    few_shot = {"clap": CLAPTeacher, "tip-adapter": TipAdapterTeacher}[name]
    return few_shot(**task.teacher, random_state=0)
