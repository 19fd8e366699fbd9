"""The model card: what a person should know of a saved model."""

import inspect
import math

from ..student._unsaved_setting import LeftOut
from ._json_values import describe

_MANY = 100  # more classes than this are counted, and stand in config.json alone


def write_card(classifier, config):
    """Return the model card as Markdown.

    Parameters
    ----------
    classifier : DHOClassifier
    config : dict
        As it is written.
    """
    classes = classifier.classes_.tolist()
    taught = classifier._taught_by
    module = classifier.net_.module_
    n_weights = sum(weight.numel() for weight in module.parameters())
    shape = " x ".join(map(str, classifier.net_.input_shape))
    pixels = len(classifier.net_.input_shape) == 3
    lines = [
        *("---", "library_name: skactivekd", "tags: [active-learning, distillation]", "---", ""),
        "# A student of skactivekd",
        "",
        f"A classifier of {len(classes)} classes, distilled from a large pretrained teacher and "
        "corrected by few labels. It predicts without the teacher."
        if taught["teacher"]
        else f"A classifier of {len(classes)} classes, learned from labels alone.",
        "",
        "```python",
        "import skactivekd",
        "",
        'model = skactivekd.load("the folder of this file")',
        "model.predict(X)",
        "```",
        "",
        "## Classes",
        "",
        *_classes(classes, taught["labels"]),
        "",
        "## Training data",
        "",
        f"- Rows: {taught['rows']:,}, of which {sum(taught['labels']):,} labeled",
        f"- Calls of fit and partial_fit: {taught['calls']}",
        f"- Teacher: {_teacher(config, taught)}",
        "",
        "## Model",
        "",
        f"- Input: {'images' if pixels else 'rows'} of {shape} "
        f"{'(channels, height, width), pixels in [0, 1] or of 8 bits' if pixels else 'numbers'}",
        *_steps(config),
        f"- Backbone: {_backbone(classifier.net_)}, {n_weights:,} weights with the heads",
        f"- Heads: {classifier._fitted_heads}; distill_weight_ {classifier.distill_weight_:.3g}",
        *_settings(classifier),
        "",
        "## Scores",
        "",
        *([f"- {_plain(k)}: {v:.6g}" for k, v in config["scores"].items()] or ["None were given."]),
        "",
        "## Versions",
        "",
        *(f"- {name} {number}" for name, number in config["versions"].items()),
        "",
    ]
    if config["left_out"]:
        lines += ["## Not saved", "", "Needed by `fit` alone:", ""]
        lines += [f"- `{name}`: {_plain(value)}" for name, value in config["left_out"].items()]
        lines += [""]
    return "\n".join(lines)


def _classes(classes, labels):
    if len(classes) > _MANY:
        return [f"{len(classes)}, listed in `config.json`."]
    head = ["| class | labels |", "|---|---|"]
    return head + [f"| {_plain(c)} | {n} |" for c, n in zip(classes, labels, strict=True)]


def _teacher(config, taught):
    named = [step["teacher"] for step in config.get("steps", ()) if step["kind"] == "teacher"]
    if named and named[0]:
        return _plain(named[0])
    return "probabilities that were given to fit" if taught["teacher"] else "none"


def _steps(config):
    names = [
        step["name"]
        for step in config.get("steps", ())
        if step["kind"] == "skops" or step.get("file")
    ]
    return [f"- Steps before it: {', '.join(map(_plain, names))}"] if names else []


def _backbone(net):
    if isinstance(net.module, str):
        return f"{net.module} of timm"
    return type(getattr(net.module_, "_orig_mod", net.module_).backbone).__name__


def _settings(classifier):
    changed, signature = {}, inspect.signature(type(classifier))
    for name, value in classifier.get_params(deep=False).items():
        default = signature.parameters[name].default
        if name not in ("net", "classes", "device") and not _same(value, default):
            changed[name] = value
    if classifier.net is not None and not isinstance(classifier.net, LeftOut):
        for name, value in sorted(classifier.net.get_params(deep=False).items()):
            if name in ("lr", "max_epochs", "batch_size", "epoch") or name.startswith("module__"):
                changed[f"net__{name}"] = value
    return [f"- `{name}`: {_plain(describe(value))}" for name, value in changed.items()]


def _same(value, default):
    if isinstance(value, float) and math.isnan(value):
        return False
    return type(value) is type(default) and value == default


def _plain(text):
    """Return text that is no Markdown and stays in its line."""
    text = " ".join(str(text).split())
    return "".join(f"\\{letter}" if letter in "|`*_<>[]#\\" else letter for letter in text)
