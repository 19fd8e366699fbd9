"""One table of the paper: every strategy, student, teacher and seed on one data set."""

from pathlib import Path

import pandas as pd

from skactivekd import (
    Badge,
    CLAPTeacher,
    ClassBalanced,
    CoreSet,
    EmbeddingCache,
    Entropy,
    OpenCLIPEncoder,
    PCoreSet,
    Random,
    ZeroShotTeacher,
    simulate,
)
from skactivekd.teacher import prompt_templates

from .data import draw_pool, load
from .student import FolderStudent

STRATEGIES = {
    "random": Random,
    "coreset": CoreSet,
    "entropy": Entropy,
    "badge": Badge,
    "classbalanced": ClassBalanced,
    "pcoreset": PCoreSet,
}
TEACHERS = ("zero_shot", "clap", "none")
_DINO = "https://dl.fbaipublicfiles.com/dino/dino_resnet50_pretrain/dino_resnet50_pretrain.pth"


def run_table(config, root, store):
    """Play all cells of a table, but for those that are in the file already.

    Parameters
    ----------
    config : dict
        From `load_config`.
    root : path
        Where the data sets are.
    store : path
        CSV file of finished rounds.

    Returns
    -------
    results : pandas.DataFrame
        As `skactivekd.simulate` has it.
    """
    data = load(config["data"], root, config["split_seed"])
    if config["n_classes"] not in (0, len(data.class_names)):
        raise ValueError(
            f"{root} has {len(data.class_names)} classes of {data.name}, not "
            f"{config['n_classes']}; pass --set n_classes=0 if that is meant"
        )
    students = make_students(config, data, root)
    strategies = make_strategies(config)
    tables = []
    # The pool differs from seed to seed where it is a part of the training images.
    for seed in config["seeds"]:
        X, y = draw_pool(data, config["pool"], seed)
        results = simulate(
            students,
            X,
            y,
            X_test=data.test[0],
            y_test=data.test[1],
            strategies=strategies,
            n_rounds=config["rounds"],
            n_instances=len(data.class_names),
            seeds=[seed],
            store=store,
            progress=False,
        )
        tables.append(results)
    return pd.concat(tables, ignore_index=True)


def make_strategies(config):
    """Make the strategies by their names; random always takes part."""
    unknown = set(config["strategies"]) - STRATEGIES.keys()
    if unknown:
        raise ValueError(f"there is no strategy {unknown}; there are {', '.join(STRATEGIES)}")
    return {name: STRATEGIES[name]() for name in config["strategies"]}


def make_students(config, data, root):
    """Make a student for each backbone and teacher, named ``backbone/teacher``."""
    checkpoint = _find_checkpoint(config["student_checkpoint"], Path(root))
    teachers = {kind: make_teacher(kind, config, data) for kind in config["teachers"]}
    kept = "image_size interpolation teacher_views batch_size lr schedule passes passes_over"
    kept += " final_passes replacement apart distill_weight temperature n_workers accelerate device"
    shared = {name: config[name] for name in kept.split()}
    last = config["rounds"] * len(data.class_names)
    shared["final_labels"] = None if config["final_passes"] == config["passes"] else last
    return {
        f"{backbone}/{kind}": FolderStudent(
            len(data.class_names),
            teacher,
            backbone=backbone,
            pretrained=config["pretrained"],
            checkpoint=checkpoint,
            eval_alpha=config["eval_mixture"][kind][0],
            eval_beta=config["eval_mixture"][kind][1],
            **shared,
        )
        for backbone in config["students"]
        for kind, teacher in teachers.items()
    }


def make_teacher(kind, config, data):
    """Make a teacher by its name: "zero_shot", "clap", or "none" for no distillation."""
    if kind not in TEACHERS:
        raise ValueError(f"there is no teacher {kind!r}; there are {', '.join(TEACHERS)}")
    if kind == "none":
        return None
    path = config["teacher_pretrained"]
    encoder = OpenCLIPEncoder(
        config["teacher_model"] or None,
        path or None,
        precision=config["teacher_precision"],
        device=config["device"],
        cache=EmbeddingCache(config["embedding_cache"]) if config["embedding_cache"] else None,
    )
    classes = dict(enumerate(data.class_names))
    templates = prompt_templates(config["templates"])
    if kind == "zero_shot":
        return ZeroShotTeacher(encoder, classes, templates)
    return CLAPTeacher(
        encoder,
        classes,
        templates,
        max_epochs=config["clap_epochs"],
        batch_size=config["clap_batch_size"],
        device=config["device"],
    )


def _find_checkpoint(name, root):
    if not name:
        return None
    for path in (Path(name), root / name):
        if path.is_file():
            return str(path)
    hint = f" It is at {_DINO}" if name == Path(_DINO).name else ""
    raise FileNotFoundError(
        f"the student's weights {name!r} are neither here nor in {root}; pass "
        f"--student-checkpoint.{hint}"
    )


def markdown(results):
    """Write results as Markdown: accuracy in percent, mean and deviation over the seeds."""
    lines = []
    for name, part in results.groupby("estimator", sort=False):
        scores = part.assign(score=100 * part["score"])
        scores = scores.groupby(["strategy", "n_labels"])["score"].agg(["mean", "std", "count"])
        n_seeds = int(scores["count"].max())
        budgets = sorted(part["n_labels"].unique())
        lines += ["", f"**{name}**: accuracy in % by labels, mean ± std of {n_seeds} seeds", ""]
        lines += ["| strategy | " + " | ".join(map(str, budgets)) + " |"]
        lines += ["|---" * (len(budgets) + 1) + "|"]
        for strategy in part["strategy"].unique():
            cells = [_cell(scores.loc[(strategy, budget)]) for budget in budgets]
            lines += [f"| {strategy} | " + " | ".join(cells) + " |"]
    return "\n".join(lines).strip() + "\n"


def _cell(row):
    return f"{row['mean']:.1f}" + (f" ± {row['std']:.1f}" if row["count"] > 1 else "")
