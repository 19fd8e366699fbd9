"""Fitted classifiers and pipelines to a folder, and back."""

import platform
import warnings
from importlib.metadata import version

import numpy as np
import torch
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .._devices_and_seeds import resolve_device
from ..student import AcceleratedDHONet, DHOClassifier
from ..student._unsaved_setting import LeftOut
from ..utils._classes import Classes
from . import _saved_net
from ._card import write_card
from ._folder import CARD, WEIGHTS, read_folder, write_folder
from ._json_values import Reader, Unsaveable, Writer, describe, is_plain_number
from ._pipeline_steps import read_steps, write_steps

# What a fitted DHOClassifier consists of, beside its nets and parameters.
_FITTED = (
    *("classes_", "trained_heads_", "distill_weight_", "n_features_in_", "feature_names_in_"),
    *("_declared", "_row_shape", "_seeds", "_fitted_heads", "_taught_by"),
)
_ALWAYS = ("classes_", "trained_heads_", "_declared", "_row_shape", "_seeds", "_fitted_heads")
_PACKAGES = ("skactivekd", "torch", "scikit-learn", "skorch", "numpy", "timm", "open_clip_torch")


def save(estimator, directory, *, overwrite=False, scores=None, modules=None):
    """Save a fitted student, alone or in a pipeline, without pickle.

    The folder holds ``model.safetensors`` (weights and arrays), ``config.json``
    (everything else, and the hash of each file), ``README.md`` (a model card)
    and, for pipelines, a file of skops for each step of scikit-learn's. It
    is read back by `load`, which checks each file.

    .. versionadded:: 0.1

    Parameters
    ----------
    estimator : DHOClassifier or Pipeline
        Fitted. A pipeline has steps of scikit-learn's and `TeacherProba`, and
        ends in a `DHOClassifier`; the teacher, which does not run at
        prediction, is named in the card and not saved.
    directory : str or path
        The folder, made anew. It appears when all is written, checked and on
        the disk, or not at all.
    overwrite : bool, default=False
        Replace a saved model that is there.
    scores : dict of str to float, default=None
        What the card should say of its quality, as ``{"accuracy on 500 test
        images": 0.93}``.
    modules : dict of str to class, function or torch.nn.Module, default=None
        Backbones that are code of yours, by a name of your choice. Their
        weights are saved, their code is not: give `load` the same.

    Raises
    ------
    FileExistsError
        If something is there already.
    ValueError
        If there is a part that has no form but pickle, or that would predict
        otherwise after loading; the message names it.
    ImportError
        If a pipeline has steps of scikit-learn's and skops is not installed.

    Warns
    -----
    UserWarning
        If settings of the training have no form but pickle, a callback of
        yours say. They are left out: the model predicts all the same, and asks
        for them when it is to be fitted again.

    See Also
    --------
    load : Read it back.
    export : To ONNX, for machines without this package.

    Notes
    -----
    The hashes find damage and carelessness. They are no signature: who can
    write the folder can write them too.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import skactivekd
    >>> X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> net = skactivekd.DHONet(max_epochs=50, module__hidden=16)
    >>> clf = skactivekd.DHOClassifier(net, random_state=0).fit(X, ["low", "low", "high", "high"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     skactivekd.save(clf, f"{folder}/model", scores={"accuracy": 1.0})
    ...     twin = skactivekd.load(f"{folder}/model")
    >>> bool((twin.predict_proba(X) == clf.predict_proba(X)).all())
    True
    """
    steps, classifier = split_estimator(estimator, "save")
    modules = _check_modules(modules)
    scores = _check_scores(scores)
    arrays, files, left_out = {}, {}, {}
    try:
        config = {
            "kind": "classifier" if steps is None else "pipeline",
            "versions": versions(),
            "classifier": _write_classifier(classifier, Writer(arrays), modules, left_out),
            "scores": scores,
            "left_out": left_out,
        }
        if steps is not None:
            config["name"] = estimator.steps[-1][0]
            config["steps"] = write_steps(steps, files)
    except Unsaveable as error:
        raise ValueError(f"{type(estimator).__name__} cannot be saved: {error}.") from error
    files[WEIGHTS] = _saved_net.save_weights(classifier.net_, arrays)
    files[CARD] = write_card(classifier, config).encode()

    def check(folder):
        try:
            loaded = load(folder, device=str(classifier.net_.device or "auto"), modules=modules)
        except ValueError as error:
            reason = str(error.__cause__ or error)
            raise ValueError(
                f"{type(estimator).__name__} cannot be saved, as it could not be loaded: {reason}"
            ) from error
        twin = split_estimator(loaded, "save")[1]
        if not _saved_net.same_outputs(classifier.net_, twin.net_):
            raise ValueError(
                f"{type(estimator).__name__} cannot be saved: loaded again, it predicts otherwise. "
                "Something in its network is neither a weight nor made by its settings."
            )

    write_folder(directory, config, files, overwrite, check)
    if left_out:
        listed = "; ".join(f"{name}: {value}" for name, value in left_out.items())
        warnings.warn(
            f"The saved model predicts as this one, but not all that fit would need has a form "
            f"without pickle, and was left out: {listed}.",
            UserWarning,
            stacklevel=2,
        )


def load(directory, *, device=None, modules=None):
    """Load a student or a pipeline that `save` wrote.

    No pickle is read and nothing runs but code of installed packages, on
    files that are as they were written: a file that was changed is refused.

    .. versionadded:: 0.1

    Parameters
    ----------
    directory : str or path
        The folder that `save` wrote.
    device : {"auto"}, str, torch.device or None, default=None
        Where to predict. None takes what the model was trained with.
    modules : dict of str to class, function or torch.nn.Module, default=None
        The backbones that are code of yours, by the names given to `save`.

    Returns
    -------
    estimator : DHOClassifier or Pipeline
        It predicts as the one that was saved, to the bit on the same machine,
        and `partial_fit` goes on from it, with an optimizer that starts anew.
        A pipeline needs its teacher again, set by ``set_params``, to be fitted.

    Raises
    ------
    FileNotFoundError
        If there is no saved model, or a file of it is missing.
    ValueError
        If a file was changed, a newer version wrote it, or it needs `modules`.

    See Also
    --------
    save : Writes the folder.

    Examples
    --------
    >>> import tempfile
    >>> import skactivekd
    >>> from skactivekd import DHOClassifier, DHONet
    >>> X = [[-2.0], [-1.0], [1.0], [2.0]]
    >>> net = DHONet(max_epochs=50, module__hidden=16)
    >>> student = DHOClassifier(net, random_state=0).fit(X, [0, 0, 1, 1])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     student.save(f"{folder}/student")
    ...     skactivekd.load(f"{folder}/student").predict(X)
    array([0, 0, 1, 1])
    """
    modules = _check_modules(modules)
    config, files = read_folder(directory)
    try:
        weights, arrays = _saved_net.read_weights(files[WEIGHTS])
        written = config["classifier"]
        classifier = _read_classifier(written, Reader(arrays), weights, device, modules)
        if config["kind"] == "classifier":
            return classifier
        if config["kind"] != "pipeline":
            raise ValueError(f"kind={config['kind']!r} is neither a classifier nor a pipeline")
        steps = read_steps(config["steps"], files)
        return Pipeline([*steps, (config["name"], classifier)])
    except (ImportError, MemoryError):
        raise
    except ValueError as error:
        raise ValueError(f"{directory} cannot be loaded: {error}") from error
    except Exception as error:  # of torch, timm, safetensors, or of a config that is none
        raise ValueError(
            f"{directory} cannot be loaded: {type(error).__name__}: {error} (Either it describes "
            f"no model, or what is installed is too far from the versions in its {CARD}.)"
        ) from error


def split_estimator(estimator, verb):
    """Return the steps before the student, None without a pipeline, and the student.

    Raises
    ------
    TypeError
        If it is neither a DHOClassifier nor a pipeline that ends in one.
    """
    steps, classifier = None, estimator
    if type(estimator) is Pipeline:
        *steps, (_, classifier) = estimator.steps
    if type(classifier) is not DHOClassifier:
        best = " Take its best_estimator_." if hasattr(estimator, "best_estimator_") else ""
        raise TypeError(
            f"skactivekd can {verb} a DHOClassifier, or a scikit-learn Pipeline that ends in one, "
            f"not {type(estimator).__module__}.{type(estimator).__qualname__}"
            f"{'' if steps is None else f' that ends in {type(classifier).__qualname__}'}.{best}"
        )
    check_is_fitted(estimator)
    check_is_fitted(classifier)
    return steps, classifier


def versions():
    """Return the versions of what makes a model what it is."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def _check_modules(modules):
    modules = {} if modules is None else modules
    if not isinstance(modules, dict) or not all(isinstance(name, str) for name in modules):
        raise TypeError(
            f"modules must be a dict from names to backbones, as {{'MyNet': MyNet}}, got "
            f"{describe(modules)}."
        )
    return modules


def _check_scores(scores):
    if not (scores is None or isinstance(scores, dict)):
        raise TypeError(f"scores must be a dict of names to numbers, got {describe(scores)}.")
    scores = {} if scores is None else dict(scores)
    bad = [
        name
        for name, value in scores.items()
        if not isinstance(name, str) or not is_plain_number(value)
    ]
    if bad:
        raise ValueError(
            f"scores must be finite numbers by name, but {bad[0]!r} is {scores[bad[0]]!r}."
        )
    return {name: float(value) for name, value in scores.items()}


def _write_classifier(classifier, writer, modules, left_out):
    params = classifier.get_params(deep=False)
    net, params["device"] = params.pop("net"), params["device"] or "auto"
    written = {"params": {}, "fitted": {}, "net": None}
    for name, value in params.items():
        try:
            written["params"][name] = writer.write(value, name)
        except Unsaveable:
            left_out[name] = describe(value)
            written["params"][name] = {"$left_out": describe(value)}
    for name in _FITTED:
        if hasattr(classifier, name):
            value = getattr(classifier, name)
            value = tuple(value) if isinstance(value, Classes) else value
            written["fitted"][name] = writer.write(value, name)
    backbone = _saved_net.plain_module(classifier.net_).backbone
    if isinstance(net, AcceleratedDHONet | LeftOut):
        left_out["net"] = describe(type(net))
        written["net"] = {"left_out": describe(type(net))}
    elif net is not None:
        arguments = "net", net.module, backbone, modules, left_out
        written["net"] = {"params": _saved_net.write_params(net, writer, *arguments)}
    # A module of the user's was copied for the fit: it is known by the one that was given.
    module = classifier.net_.module
    if isinstance(module, torch.nn.Module) and isinstance(
        getattr(net, "module", None), type(module)
    ):
        module = net.module
    # The same settings as net's, so that what is left out was named already.
    arguments = "net_", module, backbone, modules, {}
    written["net_"] = {
        "params": _saved_net.write_params(classifier.net_, writer, *arguments),
        "trained_heads": writer.write(classifier.net_.trained_heads_, "net_.trained_heads_"),
    }
    return written


def _read_classifier(written, reader, weights, device, modules):
    params = {name: reader.read(value) for name, value in written["params"].items()}
    net = written["net"]
    if net is not None and "left_out" in net:
        net = LeftOut(net["left_out"])
    elif net is not None:
        net = _saved_net.build_unfitted(_saved_net.read_params(net["params"], reader, modules)[0])
    classifier = DHOClassifier(net, **params)
    if device is not None:
        classifier.device = device
    fitted = {name: reader.read(value) for name, value in written["fitted"].items()}
    if not set(fitted) <= set(_FITTED):
        raise ValueError(f"a classifier has no {min(set(fitted) - set(_FITTED))}")
    if not set(_ALWAYS) <= set(fitted):
        raise ValueError(f"a fitted classifier has {min(set(_ALWAYS) - set(fitted))}")
    fitted["_declared"] = Classes(*fitted["_declared"])
    vars(classifier).update(fitted)
    net_params, architecture = _saved_net.read_params(written["net_"]["params"], reader, modules)
    where = _find_device(classifier.device)
    classifier.net_ = _saved_net.build_net(net_params, architecture, weights, where)
    classifier.net_.trained_heads_ = reader.read(written["net_"]["trained_heads"])
    if not any(isinstance(value, LeftOut) for value in params.values()):
        classifier._check_params()
    if np.shape(classifier.classes_) != (classifier.net_.n_classes,):
        raise ValueError(
            f"classes_ is {classifier.classes_!r}, but the network has "
            f"{classifier.net_.n_classes} outputs"
        )
    return classifier


def _find_device(device):
    try:
        found = resolve_device(device)
        torch.empty(1, device=found)
    except Exception as error:  # torch raises several kinds
        raise ValueError(
            f"it was trained with device={str(device)!r}, which is not here. Pass "
            f"load(directory, device='auto')."
        ) from error
    return found
