"""Students as one program: ONNX Runtime and torch.export give what predict_proba gives."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from saved_models import MODELS, SLOW, TEXTS, N, images, net, numbers, teach
from scipy import sparse

import skactivekd
from skactivekd.persistence import _export
from skactivekd.student._clip_student import ImageTower

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra export")
pytest.importorskip("skops", reason="the extra save")

# One of a kind: what differs is not how it is exported.
CASES = [
    pytest.param(name, marks=pytest.mark.thorough if name in SLOW else ())
    for name in MODELS
    if name not in ("mlp-settings", "strings", "dual-no-teacher", "dual-no-labels")
]
# For torch's programs, the cheap ones, these are tested each time.
ALIKE = ("booleans", "no-labels", "scaled", "single", "cnn-bytes")


def as_the_program(model, X):
    """Return rows as a program takes them: dense float32, colors first, pixels in [0, 1]."""
    if hasattr(model, "steps"):
        X = model[:-1].transform(X)
    X = X.toarray() if sparse.issparse(X) else np.asarray(X)
    if X.ndim == 3:
        X = X[:, None]
    elif X.ndim == 4 and X.shape[3] == 3:
        X = np.moveaxis(X, 3, 1)
    return X.astype(np.float32) / (255 if X.dtype == np.uint8 else 1)


def check(run, model, X):
    rows, expected = as_the_program(model, X), model.predict_proba(X)
    for size in (1, 7, 256):
        picked = np.arange(size) % N
        found = run(np.ascontiguousarray(rows[picked]))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected[picked], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            *case.values, marks=pytest.mark.thorough if case.values[0] in ALIKE else case.marks
        )
        for case in CASES
    ],
)
def test_onnx_runtime_predicts_the_same(name, tmp_path, monkeypatch):
    model, X = MODELS[name]()
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    skactivekd.export(model, tmp_path / "model.onnx", X)
    assert np.array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    check(lambda rows: session.run(None, {"X": rows})[0], model, X)
    (given,), (wanted,) = session.get_inputs(), session.get_outputs()
    meta = session.get_modelmeta().custom_metadata_map
    meta = {key: json.loads(value) for key, value in meta.items()}
    assert given.shape == meta["input"]["shape"]
    assert given.shape[0] == wanted.shape[0] == "batch"
    student = model[-1] if hasattr(model, "steps") else model
    assert meta["classes"] == student.classes_.tolist()
    assert wanted.shape == meta["output"]["shape"] == ["batch", len(meta["classes"])]
    assert meta["versions"]["skactivekd"] == skactivekd.__version__
    names = {"model.onnx"} | ({"model.features.skops"} if meta["features"] else set())
    assert {path.name for path in tmp_path.iterdir()} == names
    assert (meta["features"] is not None) == hasattr(model, "steps")


@pytest.mark.parametrize("name", CASES)
def test_torch_programs_predict_the_same(name, tmp_path):
    model, X = MODELS[name]()
    skactivekd.export(model, tmp_path / "model.pt2", X)
    files = {"metadata.json": ""}
    program = torch.export.load(tmp_path / "model.pt2", extra_files=files).module()
    check(lambda rows: program(torch.from_numpy(rows)).detach().numpy(), model, X)
    meta = json.loads(files["metadata.json"])
    student = model[-1] if hasattr(model, "steps") else model
    assert meta["classes"] == student.classes_.tolist()


@pytest.mark.parametrize("name", ["mlp", "cnn", "cnn-bytes", "dual"])
def test_without_rows_random_ones_are_compared(name, tmp_path, monkeypatch):
    model, _ = MODELS[name]()
    seen = []
    compare = _export._compare
    monkeypatch.setattr(_export, "_compare", lambda *args: seen.append(args[2]) or compare(*args))
    model.export(tmp_path / "model.pt2")
    (rows,) = seen
    assert len(rows) == 64
    if name != "dual":
        assert model.predict_proba(rows).std(axis=0).min() > 1e-3  # not all the same


def test_mixtures_that_change_after_the_fit_count(tmp_path):
    model, X = MODELS["dual"]()
    model.set_params(alpha=0.9, beta=0.5).export(tmp_path / "a.pt2", X)
    program = torch.export.load(tmp_path / "a.pt2").module()
    rows = as_the_program(model, X)
    found = program(torch.from_numpy(rows)).detach().numpy()
    np.testing.assert_allclose(found, model.predict_proba(X), atol=1e-6)
    assert abs(found - model.set_params(alpha=0.1).predict_proba(X)).max() > 1e-3


# Without torch

RAW = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "skactivekd"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import json
import numpy as np, onnxruntime, skops.io
session = onnxruntime.InferenceSession("model.onnx")
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
features = skops.io.load("model.features.skops")
texts = json.load(sys.stdin)
X = features.transform(texts)
X = X.toarray() if hasattr(X, "toarray") else X
(proba,) = session.run(None, {"X": X.astype("float32")})
json.dump([proba.tolist(), [classes[best] for best in proba.argmax(axis=1)]], sys.stdout)
"""


@pytest.mark.parametrize("name", ["tfidf", "lsa"])
def test_raw_texts_need_no_torch(name, tmp_path):
    model, texts = MODELS[name]()
    skactivekd.export(model, tmp_path / "model.onnx", TEXTS)
    args = [sys.executable, "-c", RAW]
    done = subprocess.run(
        args, input=json.dumps(texts), capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    proba, labels = json.loads(done.stdout)
    np.testing.assert_allclose(proba, model.predict_proba(texts), atol=1e-4)
    assert labels == model.predict(texts).tolist()
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    meta = json.loads(session.get_modelmeta().custom_metadata_map["features"])
    content = (tmp_path / meta["file"]).read_bytes()
    assert meta == {
        "file": "model.features.skops",
        "sha256": hashlib.sha256(content).hexdigest(),
    }


# What is refused


@pytest.fixture(scope="module")
def student():
    return teach(numbers(), net=net(module__hidden=4))


def test_places(student, tmp_path):
    for name in ("model", "model.pt", "model.ONNX", "onnx"):
        with pytest.raises(ValueError, match=r"must end in \.onnx or \.pt2"):
            student.export(tmp_path / name)
    student.export(tmp_path / "new" / "model.pt2")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        student.export(tmp_path / "new" / "model.pt2")
    student.export(str(tmp_path / "new" / "model.pt2"), overwrite=True)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model.pt2"]


@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
@pytest.mark.parametrize("wrong", [1e-3, np.nan])
def test_a_program_that_differs_is_not_written(student, tmp_path, suffix, wrong, monkeypatch):
    forward = _export.Predictor.forward
    monkeypatch.setattr(_export.Predictor, "forward", lambda self, X: forward(self, X) + wrong)
    with pytest.raises(ValueError, match="is not written: in a batch of 1 it would differ"):
        student.export(tmp_path / f"model.{suffix}", numbers())
    assert not list(tmp_path.iterdir())


def test_a_crash_leaves_nothing(student, tmp_path, monkeypatch):
    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(_export.os, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        student.export(tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())


class Branching(torch.nn.Module):
    def forward(self, X):
        return X if X.sum() > 0 else -X


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: teach(numbers(), net=net(module=Branching)), ValueError, "backbone Branching"),
        (lambda: object(), TypeError, "export a DHOClassifier, or a scikit-learn Pipeline"),
    ],
)
def test_what_cannot_be_exported_is_named(make, error, message, tmp_path):
    with pytest.raises(error, match=message):
        skactivekd.export(make(), tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())


def test_rows_are_checked(student, tmp_path):
    with pytest.raises(ValueError, match="6 features"):
        student.export(tmp_path / "model.pt2", numbers()[:, :3])
    with pytest.raises(ValueError, match=r"0 sample|no row"):
        student.export(tmp_path / "model.pt2", numbers()[:0])
    assert not list(tmp_path.iterdir())


def test_what_is_missing_is_named(student, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r'onnxruntime: pip install "skactivekd\[export\]"'):
        student.export(tmp_path / "model.onnx")


# clip_student's preparation of images


@pytest.mark.parametrize("mode", ["shortest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("shape", [(8, 8), (40, 25), (16, 16), (9, 31)])
def test_buffers_and_matrices_prepare_as_open_clip_does(mode, interpolation, shape):
    from open_clip.transform import image_transform
    from torchvision.transforms import Compose

    transform = image_transform(16, False, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), mode, interpolation)
    # Before open_clip 3.3 these take pictures of Pillow only; the others take tensors as well.
    of_pictures = ("_convert_to_rgb", "ToTensor")
    steps = [
        step
        for step in transform.transforms
        if getattr(step, "__name__", type(step).__name__) not in of_pictures
    ]
    tower = ImageTower(torch.nn.Flatten(), transform)
    X = torch.from_numpy(images(3, *shape))
    expected = Compose(steps)(X).flatten(1)
    assert torch.equal(tower(X), expected)
    torch.testing.assert_close(tower.for_images_of(*shape)(X), expected, atol=1e-5, rtol=0)
    assert not tower.state_dict()


def test_a_std_of_zero_is_refused():
    from open_clip.transform import image_transform

    transform = image_transform(16, False, (0.5, 0.4, 0.3), (0.2, 0.0, 0.3))
    with pytest.raises(ValueError, match="std of zero"):
        ImageTower(torch.nn.Flatten(), transform)


def test_the_metadata_say_how_a_student_of_files_sees_them(tmp_path):
    from PIL import Image

    random, paths = np.random.RandomState(0), []
    for row in range(9):
        paths.append(tmp_path / f"{row}.jpg")
        pixels = random.randint(256, size=(40, 50 + row, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(paths[-1])
    y = [0, 1, -1] * 3
    model = skactivekd.DHOClassifier(net(module="test_resnet", image_size=32), random_state=0)
    model.fit(paths, y).export(tmp_path / "model.onnx", paths)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    how = json.loads(session.get_modelmeta().custom_metadata_map["input"])
    view = how["pictures"]
    assert view["crop_mode"] == "center"
    assert len(view["resize"]) == 2
    side, (height, width) = view["resize"][0], how["shape"][2:]
    assert side > width == 32  # timm leaves a border of this model out

    def prepare(path):
        image = Image.open(path)
        size = [side * length // min(image.size) for length in image.size]
        image = image.resize(size, Image.Resampling[view["interpolation"].upper()])
        left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
        return np.asarray(image.crop((left, top, left + width, top + height))).transpose(2, 0, 1)

    rows = np.stack([prepare(path) for path in paths]).astype(np.float32) / 255
    for size in (1, 7, 256):
        picked = np.arange(size) % len(paths)
        (found,) = session.run(None, {"X": rows[picked]})
        expected = model.predict_proba(paths)[picked]
        np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)
    student, X = MODELS["cnn"]()
    student.export(tmp_path / "arrays.pt2", X)
    files = {"metadata.json": ""}
    torch.export.load(tmp_path / "arrays.pt2", extra_files=files)
    assert json.loads(files["metadata.json"])["input"]["pictures"] is None
