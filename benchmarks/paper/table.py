"""One table of the paper: every strategy, student, teacher and seed on one data set."""

import copy
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback
from torchvision.transforms import InterpolationMode, v2

import skactivekd as sk
from skactivekd.student import AcceleratedDHONet
from skactivekd.teacher import prompt_templates

from .data import draw_pool, load

_STRATEGIES = (sk.Random, sk.CoreSet, sk.Entropy, sk.Badge, sk.ClassBalanced, sk.PCoreSet)
STRATEGIES = {kind.__name__.lower(): kind for kind in _STRATEGIES}
TEACHERS = {"zero_shot": sk.ZeroShotTeacher, "clap": sk.CLAPTeacher, "none": None}


def run_table(config, root, store):
    """Play all cells of a table, but for those that are in the CSV file `store` already."""
    data = load(config, root)
    n_classes = len(data.class_names)
    if config["n_classes"] not in (0, n_classes):
        raise ValueError(
            f"{root} has {n_classes} classes of {data.name}, not {config['n_classes']}; pass "
            "--set n_classes=0 if that is meant"
        )
    for setting, known in (("strategies", STRATEGIES), ("teachers", TEACHERS)):
        unknown = [name for name in config[setting] if name not in known]
        if unknown:
            raise ValueError(f"{setting} has {unknown}; there are {', '.join(known)}")
    teachers = {kind: make_teacher(kind, config, data) for kind in config["teachers"]}
    students = {
        f"{backbone}/{kind}": make_student(backbone, teacher, config, data, root)
        for backbone in config["students"]
        for kind, teacher in teachers.items()
    }
    tables = []
    # The pool differs from seed to seed where it is a part of the training images.
    for seed in config["seeds"]:
        results = sk.simulate(
            students,
            *draw_pool(data, config["pool"], seed),
            X_test=data.test[0],
            y_test=data.test[1],
            strategies=[STRATEGIES[name]() for name in config["strategies"]],
            n_rounds=config["rounds"],
            n_instances=n_classes,
            seeds=[seed],
            scoring=partial(score, mixtures=config["eval_mixture"]),
            store=store,
            progress=False,
        )
        tables.append(results)
    return pd.concat(tables, ignore_index=True)


def score(model, X, y, mixtures):
    """Return the accuracy with another mixture of the heads than the strategies ask."""
    if not hasattr(model, "steps"):  # no teacher, and so a single head
        return model.score(X, y)
    kind = next(kind for kind in mixtures if isinstance(model[0].teacher, TEACHERS[kind]))
    alpha, beta = mixtures[kind]
    return copy.copy(model[-1]).set_params(alpha=alpha, beta=beta).score(X, y)


def make_student(backbone, teacher, config, data, root):
    """Make the package's student with the published settings; without `teacher` none is asked."""
    size = config["image_size"]
    crop = v2.RandomResizedCrop(
        size, (0.5, 1.0), interpolation=InterpolationMode(config["interpolation"])
    )
    passes = [config[name] for name in ("passes", "passes_over", "final_passes")]
    last = config["rounds"] * len(data.class_names) if passes[0] != passes[2] else np.inf
    kind, extra = sk.DHONet, {}
    if config["accelerate"]:
        from accelerate import Accelerator

        kind, extra = AcceleratedDHONet, {"accelerator": Accelerator()}
    net = kind(
        backbone,
        module__pretrained=config["pretrained"] and not config["student_checkpoint"],
        module__checkpoint_path=_find_checkpoint(config["student_checkpoint"], Path(root)),
        # In prediction the shorter side comes to the size, and the middle is cut out.
        module__pretrained_cfg_overlay={"crop_pct": 1.0, "interpolation": "bilinear"},
        image_size=size,
        augment=v2.Compose([crop, v2.RandomHorizontalFlip()]),
        epoch={"labeled": "labeled", "unlabeled": "all"}[config["passes_over"]],
        callbacks=[("length", Length(*passes, last))],
        callbacks__schedule__warmup=0.1 if config["schedule"] == "linear" else 0.0,
        callbacks__schedule__shape=config["schedule"],
        iterator_train__num_workers=config["n_workers"],
        iterator_valid__num_workers=config["n_workers"],
        **{name: config[name] for name in ("batch_size", "replacement", "apart", "lr")},
        **extra,
    )
    student = sk.DHOClassifier(
        net,
        heads="dual",
        distill_weight=config["distill_weight"],
        temperature=config["temperature"],
        classes=range(len(data.class_names)),
        device=None if config["accelerate"] else config["device"],
    )
    if teacher is None:
        return student
    return make_pipeline(sk.TeacherProba(teacher, teacher_views=config["teacher_views"]), student)


class Length(Callback):
    """Train for the passes of the protocol, another number in the last round, teacher or not."""

    def __init__(self, passes, passes_over, final_passes, final_labels):
        self.passes, self.passes_over = passes, passes_over
        self.final_passes, self.final_labels = final_passes, final_labels

    def on_train_begin(self, net, X=None, **kwargs):
        n_labeled = int((X.y >= 0).sum())
        passes = self.final_passes if n_labeled >= self.final_labels else self.passes
        n_rows = n_labeled if self.passes_over == "labeled" else len(X) - n_labeled
        net.max_epochs = passes * -(-n_rows // net.batch_size) // net.count_steps(X)


def make_teacher(kind, config, data):
    """Make a teacher by its name: "zero_shot", "clap", or "none" for no distillation."""
    if kind == "none":
        return None
    encoder = sk.OpenCLIPEncoder(
        config["teacher_model"] or None,
        config["teacher_pretrained"] or None,
        precision=config["teacher_precision"],
        device=config["device"],
        cache=sk.EmbeddingCache(config["embedding_cache"]) if config["embedding_cache"] else None,
    )
    classes, templates = dict(enumerate(data.class_names)), prompt_templates(config["templates"])
    teacher = TEACHERS[kind](encoder, classes, templates)
    if kind == "clap":
        length = {"max_epochs": config["clap_epochs"], "batch_size": config["clap_batch_size"]}
        teacher.set_params(**length, device=config["device"])
    return teacher


def _find_checkpoint(name, root):
    found = [str(path) for path in (Path(name), root / name) if path.is_file()]
    if name and not found:
        raise FileNotFoundError(
            f"the student's weights {name!r} are neither here nor in {root}; pass "
            "--student-checkpoint. benchmarks/paper/README.md says where those of DINO are."
        )
    return found[0] if found else None


def markdown(results):
    """Write results as Markdown: accuracy in percent, mean and deviation over the seeds."""
    lines = []
    for name, part in results.groupby("estimator", sort=False):
        scores = (100 * part["score"]).groupby([part["strategy"], part["n_labels"]])
        scores = scores.agg(["mean", "std", "count"])
        n_seeds, budgets = int(scores["count"].max()), np.unique(part["n_labels"])
        lines += ["", f"**{name}**: accuracy in % by labels, mean ± std of {n_seeds} seeds", ""]
        lines += ["| strategy | " + " | ".join(map(str, budgets)) + " |"]
        lines += ["|---" * (len(budgets) + 1) + "|"]
        for strategy in part["strategy"].unique():
            cells = (scores.loc[(strategy, budget)] for budget in budgets)
            cells = (f"{c['mean']:.1f}" + f" ± {c['std']:.1f}" * int(c["count"] > 1) for c in cells)
            lines += [f"| {strategy} | " + " | ".join(cells) + " |"]
    return "\n".join(lines).strip() + "\n"
