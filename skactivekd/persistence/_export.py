"""A fitted student as one program for machines without this package."""

import contextlib
import io
import json
import logging
import math
import os
import uuid
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.pipeline import Pipeline
from torch import nn

from .._devices_and_seeds import seeded
from ..student import TeacherProba
from ..student._clip_student import ImageTower
from ..student._image_files import ROW_SHAPE
from ..student._tensors import as_input
from ._folder import checksum, write_file
from ._json_values import Unsaveable
from ._pipeline_steps import dump_step
from ._save_and_load import split_estimator, versions
from ._saved_net import cpu_copy

# How far a program may be from predict_proba: rounding is a hundredth of it.
_TOLERANCE = 1e-4
_BATCHES = (1, 7, 64)  # sizes that none of the runtimes could have taken for fixed
_MAX_ONNX = 2**31  # bytes: what one ONNX file holds


def export(estimator, path, X=None, *, overwrite=False):
    """Write a fitted student as one program from pixels or numbers to probabilities.

    The program holds all there is between the input and ``predict_proba``:
    scaling, backbone, both heads, their mixture. It takes batches of any
    size, needs neither this package nor scikit-learn, and is compared with
    ``predict_proba`` before it is put in its place.

    .. versionadded:: 0.1

    Parameters
    ----------
    estimator : DHOClassifier or Pipeline
        Fitted. The steps before the student in a pipeline (TF-IDF, scaling)
        are saved beside the program by skops, as ``<name>.features.skops``.
    path : str or path
        ``.onnx`` for ONNX Runtime and its kin, ``.pt2`` for `torch.export.load`.
    X : array-like of shape (n_samples, ...), default=None
        Rows, as ``predict_proba`` of `estimator` takes them, on which the
        program is compared with it. None draws random ones, of the shape seen
        in ``fit``.
    overwrite : bool, default=False
        Replace files that are there.

    Raises
    ------
    FileExistsError
        If there is such a file already.
    ValueError
        If `path` ends in something else, torch cannot export the backbone,
        a step cannot be saved, or the program would differ from
        ``predict_proba`` by more than 1e-4. There is no file then.
    ImportError
        If what ``.onnx`` needs is not installed: the extra ``export``.

    See Also
    --------
    save : To be loaded by this package again.

    Notes
    -----
    The input is called ``X``, float32 of shape (batch, n_features), or (batch,
    channels, height, width) with pixels in [0, 1]; the output ``proba``, float32
    of shape (batch, n_classes). The metadata, properties of an ONNX model or the
    extra file ``metadata.json`` of a ``.pt2``, are JSON: ``classes`` in the order of
    the columns, ``input``, ``output``, ``features`` and ``versions``.

    Examples
    --------
    >>> import json, tempfile
    >>> import numpy as np
    >>> import torch
    >>> from skactivekd import DHOClassifier
    >>> X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> clf = DHOClassifier(random_state=0).fit(X, ["low", "low", "high", "high"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     clf.export(f"{folder}/model.pt2", X)
    ...     files = {"metadata.json": ""}
    ...     program = torch.export.load(f"{folder}/model.pt2", extra_files=files)
    >>> json.loads(files["metadata.json"])["classes"]
    ['high', 'low']
    >>> program.module()(torch.tensor([[-3.0]])).argmax(dim=1)
    tensor([1])
    """
    steps, classifier = split_estimator(estimator, "export")
    target = Path(os.path.abspath(os.path.expanduser(os.fspath(path))))
    if target.suffix not in _WRITERS:
        raise ValueError(f"path must end in .onnx or .pt2, got {os.fspath(path)!r}.")
    contents = {}
    metadata = _describe(classifier)
    features = _features(steps)
    if features is not None:
        beside = target.with_name(target.stem + ".features.skops")
        try:
            contents[beside] = dump_step(features, "what comes before the student")
        except Unsaveable as error:
            raise ValueError(f"{type(estimator).__name__} cannot be exported: {error}.") from error
        digest = checksum(contents[beside])
        metadata["features"] = {"file": beside.name, "sha256": digest}
    taken = [str(file) for file in (target, *contents) if os.path.lexists(file)]
    if taken and not overwrite:
        raise FileExistsError(
            f"{' and '.join(taken)} exists already. Name another file, or pass overwrite=True."
        )
    rows = _sample(classifier) if X is None else X if steps is None else _transform(steps, X)
    rows = classifier._rows(rows)
    program = _trace(classifier)
    contents[target], run = _WRITERS[target.suffix](program, metadata)
    _compare(run, classifier, rows, target)
    _put(contents)


class Predictor(nn.Module):
    """A student with the mixture of its heads: X -> probabilities."""

    def __init__(self, student, alpha, beta):
        super().__init__()
        self.student = student
        self.alpha = alpha
        self.beta = beta

    def forward(self, X):
        """Return probabilities of shape (n, n_classes)."""
        ce, kd = self.student(X)
        # What has no weight is left out of the program.
        if self.alpha == 1:
            return torch.softmax(ce, dim=1)
        kd = torch.softmax(kd / self.beta, dim=1)
        return (
            kd if self.alpha == 0 else self.alpha * torch.softmax(ce, dim=1) + (1 - self.alpha) * kd
        )


def _features(steps):
    """Return what makes the student's input, as one transformer; None where nothing does."""
    made = []
    for name, step in steps or ():
        step = step.features_ if isinstance(step, TeacherProba) else step
        if step is not None and not isinstance(step, str):
            made.append((name, step))
    return made[0][1] if len(made) == 1 else Pipeline(made) if made else None


def _transform(steps, X):
    for _, step in steps:
        if step is not None and not isinstance(step, str):
            X = step.transform(X)
    return X


def _describe(classifier):
    shape = list(classifier.net_.input_shape)
    pixels = len(shape) == 3
    return {
        "format": "skactivekd-program",
        "format_version": 1,
        "classes": classifier.classes_.tolist(),
        "input": {
            "name": "X",
            "dtype": "float32",
            "shape": ["batch", *shape],
            "layout": "batch, channels, height, width" if pixels else "batch, features",
            "values": "pixels in [0, 1]" if pixels else "as in fit",
            "pictures": _describe_view(classifier) if classifier._row_shape == ROW_SHAPE else None,
        },
        "output": {
            "name": "proba",
            "dtype": "float32",
            "shape": ["batch", len(classifier.classes_)],
        },
        "features": None,
        "versions": versions(),
    }


def _describe_view(classifier):
    """Say how a student of files brings a picture to its size."""
    view = classifier.net_._plain_view()
    return {
        "crop_mode": view.crop_mode,
        "resize": [math.floor(side / view.crop_pct) for side in view.size],
        "interpolation": view.interpolation,
        "upright": "as EXIF says",
        "transparent": "white",
    }


def _trace(classifier):
    """Return the student as a program of torch.export."""
    student = cpu_copy(classifier.net_)
    shape = tuple(classifier.net_.input_shape)
    if isinstance(student.backbone, ImageTower):
        student.backbone = student.backbone.for_images_of(*shape[1:])
    predictor = Predictor(student, *classifier._mixing()).eval().requires_grad_(False)
    # Two rows: torch takes a batch of one for a constant.
    example = (torch.zeros(2, *shape),)
    try:
        with _quiet(), torch.no_grad():
            return torch.export.export(
                predictor, example, dynamic_shapes=({0: torch.export.Dim("batch")},)
            )
    except Exception as error:  # torch raises many kinds
        raise ValueError(
            f"torch.export cannot follow the backbone {type(student.backbone).__name__} for "
            f"batches of any size: {error}"
        ) from error


def _write_onnx(program, metadata):
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401, which torch's exporter uses
    except ImportError as error:
        raise ImportError(
            f'Exporting to ONNX needs {error.name}: pip install "skactivekd[export]".'
        ) from error
    try:
        with _quiet():
            made = torch.onnx.export(
                program,
                dynamo=True,
                input_names=["X"],
                output_names=["proba"],
                external_data=False,
                verbose=False,
            )
            model = made.model_proto
    except Exception as error:  # torch raises many kinds
        raise ValueError(f"torch cannot write this backbone as ONNX: {error}") from error
    _name_batch(model.graph)
    onnx.helper.set_model_props(model, {key: json.dumps(v) for key, v in metadata.items()})
    if model.ByteSize() >= _MAX_ONNX:
        raise ValueError(
            "The model has more than 2 GiB, which one ONNX file cannot hold: .pt2 can."
        )
    content = model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(1, torch.get_num_threads())
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return content, lambda rows: session.run(["proba"], {"X": rows.numpy()})[0]


def _name_batch(graph):
    """Call the free dimension by its name, which torch numbers."""
    (old,) = {value.type.tensor_type.shape.dim[0].dim_param for value in graph.input}
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param == old:
                dim.dim_param = "batch"


def _write_pt2(program, metadata):
    file = io.BytesIO()
    with _quiet():
        torch.export.save(program, file, extra_files={"metadata.json": json.dumps(metadata)})
        content = file.getvalue()
        module = torch.export.load(io.BytesIO(content)).module()

    def run(rows):
        with torch.no_grad():
            return module(rows).numpy()

    return content, run


_WRITERS = {".onnx": _write_onnx, ".pt2": _write_pt2}


def _sample(classifier):
    """Draw rows like those of the training."""
    random = np.random.RandomState(0)
    shape = classifier._row_shape
    shape = classifier.net_.input_shape if None in shape else shape  # of files, as they are read
    # From 0 to 1: pixels, and codes that are all the first one.
    rows = random.random_sample((max(_BATCHES), *shape))
    scaling = classifier.net_.input_scaling
    if scaling is not None:
        shift, scale = scaling
        rows = shift + scale * random.normal(size=rows.shape)
    return rows.astype(np.float32)


def _compare(run, classifier, rows, target):
    """Raise if a program differs from predict_proba, in batches of several sizes."""
    n = rows.shape[0]
    if n == 0:
        raise ValueError("X has no row to compare the program on.")
    expected = classifier._mix(*classifier.net_.forward(rows)).numpy()
    for size in (*_BATCHES, n):
        picked = np.arange(size) % n
        found = run(as_input(rows[picked]))
        error = np.abs(found - expected[picked]).max(axis=1)
        # Not "greater", which nan would pass.
        bad = np.flatnonzero(~(error <= _TOLERANCE))
        if len(bad):
            raise ValueError(
                f"{target.name} is not written: in a batch of {size} it would differ from "
                f"predict_proba by {error[bad[0]]:.2g} in row {picked[bad[0]]}."
            )


def _put(contents):
    """Write files beside their places, and rename them when all are on the disk."""
    made = {}
    try:
        for target, content in contents.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            neighbor = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
            made[target] = neighbor
            write_file(neighbor, content)
        for target, neighbor in made.items():
            os.replace(neighbor, target)
    finally:
        for neighbor in made.values():
            neighbor.unlink(missing_ok=True)


@contextlib.contextmanager
def _quiet():
    """Keep what torch's exporters say of themselves from the user, and their random draws."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            seeded(0, torch.device("cpu")),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
