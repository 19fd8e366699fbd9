"""Models as folders without pickle: what comes back, and what is refused."""

import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from saved_models import CODES, MODELS, SLOW, TEXTS, Doubled, N, net, numbers, say, teach
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skorch.callbacks import Callback, EarlyStopping, GradientNormClipping, LRScheduler
from skorch.dataset import ValidSplit

import skactivekd
from skactivekd import DHOClassifier, DHONet, LabeledStratifiedKFold, TeacherProba, load, save
from skactivekd.student import WarmupDecay

# Loads every folder, with pickle forbidden before anything is imported.
LOADING = """
import pickle, sys, _pickle

def refuse(*args, **kwargs):
    raise AssertionError("pickle was read")

class Refusing:
    dispatch = {}  # which joblib's own kind copies

    def __init__(self, *args, **kwargs):
        refuse()

pickle.load = pickle.loads = _pickle.load = _pickle.loads = refuse
pickle.Unpickler = pickle._Unpickler = _pickle.Unpickler = Refusing

import json, warnings
from pathlib import Path
import joblib, numpy as np, torch
from scipy import sparse
torch.load = joblib.load = refuse
warnings.simplefilter("error")
import skactivekd
for folder in sorted(Path(sys.argv[1]).iterdir()):
    state = np.random.get_state()[1].copy(), torch.get_rng_state().clone()
    model = skactivekd.load(folder / "model")
    assert np.array_equal(np.random.get_state()[1], state[0])
    assert torch.equal(torch.get_rng_state(), state[1])
    if (folder / "X.json").exists():
        X = json.loads((folder / "X.json").read_text())
    elif (folder / "X.npz").exists():
        X = sparse.load_npz(folder / "X.npz")
    else:
        X = np.load(folder / "X.npy")
    student = model[-1] if hasattr(model, "steps") else model
    rows = model[:-1].transform(X) if hasattr(model, "steps") else X
    np.savez(folder / "found.npz", proba=model.predict_proba(X), labels=model.predict(X),
             features=student.embed(rows), classes=model.classes_)
"""


def save_rows(X, folder):
    if isinstance(X, list):
        (folder / "X.json").write_text(json.dumps(X))
    elif hasattr(X, "tocsr"):
        from scipy import sparse

        sparse.save_npz(folder / "X.npz", X)
    else:
        np.save(folder / "X.npy", X)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Every model, saved and loaded by another process: name -> (model, X, folder)."""
    place = tmp_path_factory.mktemp("saved")
    made = {}
    for name, make in MODELS.items():
        (place / name).mkdir()
        model, X = make()
        with warnings.catch_warnings():
            if name == "clip":  # tested below
                warnings.simplefilter("ignore", UserWarning)
            save(model, place / name / "model")
        save_rows(X, place / name)
        made[name] = model, X, place / name
    done = subprocess.run([sys.executable, "-c", LOADING, place], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_another_process_predicts_the_same_to_the_bit(folders, name):
    model, X, folder = folders[name]
    with np.load(folder / "found.npz") as found:
        np.testing.assert_array_equal(found["proba"], model.predict_proba(X))
        np.testing.assert_array_equal(found["labels"], model.predict(X))
        is_pipeline = hasattr(model, "steps")
        rows = model[:-1].transform(X) if is_pipeline else X
        features = (model[-1] if is_pipeline else model).embed(rows)
        np.testing.assert_array_equal(found["features"], features)
        np.testing.assert_array_equal(found["classes"], model.classes_)
        assert found["classes"].dtype == model.classes_.dtype
    assert sorted(path.suffix for path in (folder / "model").iterdir())[:2] == [".json", ".md"]


@pytest.mark.parametrize("name", [name for name in MODELS if name not in SLOW])
def test_parameters_come_back(name, tmp_path):
    model, _ = MODELS[name]()
    save(model, tmp_path)
    loaded = load(tmp_path)
    model, twin = (m[-1] if hasattr(m, "steps") else m for m in (model, loaded))
    same = {k: v for k, v in model.get_params().items() if not re.search("callbacks|^net$", k)}
    other = twin.get_params()
    for key, value in same.items():
        np.testing.assert_equal(other[key], value, err_msg=key)
        assert type(other[key]) is type(value), key
    if name == "mlp-settings":
        assert vars(other["net__callbacks"][0][1]) == vars(WarmupDecay(shape="cosine"))
    assert set(vars(twin)) == set(vars(model))
    save(loaded, tmp_path / "again")  # steps of skops differ in their times
    one, other = (
        json.loads((p / "config.json").read_text()) for p in (tmp_path, tmp_path / "again")
    )
    assert one["classifier"] == other["classifier"]
    for file in ("model.safetensors", "README.md"):
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / file).read_bytes()


@pytest.mark.parametrize("name", ["mlp", "mlp-settings", "dual", "single", "cnn", "no-teacher"])
def test_loaded_students_learn_on(name, tmp_path):
    model, X = MODELS[name]()
    model.save(tmp_path)
    loaded = load(tmp_path)
    before = loaded.predict_proba(X)
    y = np.arange(N) % 3
    for twin in (model, loaded):
        twin.partial_fit(X, y)
    assert not np.array_equal(loaded.predict_proba(X), before)
    if name.startswith("mlp"):  # the others' optimizers start anew
        np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    again = clone(loaded).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(again, clone(model).fit(X, y).predict_proba(X))


def test_a_loaded_pipeline_asks_for_its_teacher(tmp_path):
    model, _ = MODELS["tfidf"]()
    save(model, tmp_path)
    loaded = load(tmp_path)
    y = np.where(np.arange(N) < 20, np.array(["cat", "dog", "bird"])[CODES], "")
    with pytest.raises(ValueError, match=r"teacher is not among them \(saved_models.say\).*set_pa"):
        clone(loaded).fit(TEXTS, y)
    loaded.set_params(teacherproba__teacher=say).fit(TEXTS, y)
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), model.predict_proba(TEXTS))
    assert "saved_models.say" in (tmp_path / "README.md").read_text().replace("\\_", "_")


def test_names_of_columns_come_back(tmp_path):
    X = pd.DataFrame(numbers(), columns=list("abcdef"))
    model = teach(X, net=net())
    model.save(tmp_path)
    loaded = load(tmp_path)
    assert loaded.feature_names_in_.tolist() == list("abcdef")
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    pipe = make_pipeline(TeacherProba(np.full((N, 3), 1 / 3)), DHOClassifier(net(), random_state=0))
    save(pipe.fit(X, CODES), tmp_path / "pipe")
    again = load(tmp_path / "pipe")
    np.testing.assert_array_equal(again.predict_proba(X), pipe.predict_proba(X))
    with pytest.raises(ValueError, match="feature names"):
        again.predict(X[list("fedcba")])


@pytest.mark.parametrize(
    "params",
    [
        {"random_state": np.random.RandomState(3)},
        {"missing_label": np.nan},
        {"classes": np.array([0, 1, 2])},
        {"classes": range(3)},
        {"class_weight": {np.int64(0): np.float32(2), 1: 1}},
        {"device": torch.device("cpu")},
    ],
)
def test_odd_parameters_come_back(params, tmp_path):
    X = numbers()
    y = np.where(np.arange(N) < 9, CODES, -1)
    if "missing_label" in params:
        y = np.where(y < 0, np.nan, y)
    model = DHOClassifier(net(), **params).fit(X, y, teacher_proba=np.eye(3)[CODES])
    model.save(tmp_path)
    loaded = load(tmp_path)
    for key, value in params.items():
        found = getattr(loaded, key)
        assert type(found) is type(value)
        if key == "random_state":
            found, value = found.get_state()[1], value.get_state()[1]
        np.testing.assert_equal(found, value)
    for twin in (model, loaded):
        twin.partial_fit(X, CODES)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


# What has no form but pickle


class Shout(Callback):
    pass


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"callbacks": [("shout", Shout())]}, r"net\.callbacks: \[\['shout'|net\.callbacks"),
        ({"train_split": lambda dataset, y: (dataset, None)}, r"net\.train_split"),
        ({"callbacks": [("stop", EarlyStopping("train_loss", sink=len))]}, r"net\.callbacks"),
    ],
)
def test_settings_of_training_are_left_out_aloud(params, name, tmp_path):
    model = teach(numbers(), net=net(**params), heads="dual")
    with pytest.warns(UserWarning, match=rf"was left out: .*{name}"):
        model.save(tmp_path)
    loaded = load(tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(numbers()), model.predict_proba(numbers()))
    before = dict(vars(loaded))
    for fit in (clone(loaded).fit, loaded.fit, loaded.partial_fit):
        with pytest.raises(ValueError, match=r"do not hold what training needs.*set_params"):
            fit(numbers(), CODES)
    assert vars(loaded) == before
    assert "Not saved" in (tmp_path / "README.md").read_text()
    (missing,) = params
    clone(loaded).set_params(**{f"net__{missing}": None}).fit(numbers(), CODES)


@pytest.mark.slow
def test_clip_students_learn_on_but_do_not_start_again(tmp_path):
    model, X = MODELS["clip"]()
    with pytest.warns(UserWarning, match=r"left out: net\.module: the weights from which clip"):
        model.save(tmp_path)
    loaded = load(tmp_path)
    y = np.array(["0", "1", "2"])[CODES]
    assert (loaded.net_.head_weights == model.net_.head_weights).all()
    with pytest.raises(ValueError, match="weights from which clip_student started"):
        clone(loaded).fit(X, y)
    with pytest.warns(UserWarning, match="left out"):
        loaded.save(tmp_path / "again")
    loaded = load(tmp_path / "again").partial_fit(X, y)
    np.testing.assert_array_equal(loaded.predict_proba(X), model.partial_fit(X, y).predict_proba(X))


@pytest.mark.parametrize("module", [Doubled, Doubled(5)], ids=["class", "instance"])
def test_backbones_of_the_user_travel_by_name(module, tmp_path):
    arguments = {} if isinstance(module, torch.nn.Module) else {"module__width": 7}
    model = teach(numbers(), net=net(module=module, **arguments))
    with pytest.raises(ValueError, match=r"code of yours.*save\(directory, modules="):
        model.save(tmp_path / "m")
    assert not list(tmp_path.iterdir())
    with pytest.raises(TypeError, match="modules must be a dict"):
        model.save(tmp_path / "m", modules=Doubled)
    model.save(tmp_path / "m", modules={"Doubled": module})
    with pytest.raises(ValueError, match=r"modules=\{'Doubled': \.\.\.\}"):
        load(tmp_path / "m")
    loaded = load(tmp_path / "m", modules={"Doubled": module})
    np.testing.assert_array_equal(loaded.predict_proba(numbers()), model.predict_proba(numbers()))
    other = (lambda width: Doubled(width + 1)) if arguments else Doubled(9)
    with pytest.raises(ValueError, match="weights are not those of the backbone"):
        load(tmp_path / "m", modules={"Doubled": other})


def test_a_network_that_settings_do_not_make_is_refused(tmp_path):
    model = teach(numbers(), net=net())
    model.net_.module_.backbone[1] = torch.nn.Tanh()
    with pytest.raises(ValueError, match="loaded again, it predicts otherwise"):
        model.save(tmp_path / "m")
    assert not list(tmp_path.iterdir())


class Louder(DHOClassifier):
    pass


class OwnNet(DHONet):
    pass


def shorter(text):
    return text.lower()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LogisticRegression(), TypeError, "DHOClassifier, or a scikit-learn Pipeline"),
        (lambda: DHOClassifier(), NotFittedError, "not fitted"),
        (lambda: Louder(net(), random_state=0).fit(numbers(), CODES), TypeError, "Louder"),
        (
            lambda: GridSearchCV(
                DHOClassifier(net()), {"distill_weight": [0.5]}, cv=LabeledStratifiedKFold(2)
            ).fit(numbers(), CODES),
            TypeError,
            "best_estimator_",
        ),
        (lambda: teach(numbers(), net=OwnNet(max_epochs=1)), ValueError, "OwnNet"),
        (
            lambda: pipeline(TfidfVectorizer(preprocessor=shorter)),
            ValueError,
            r"step 'features' holds test_persistence\.shorter, which skops does not trust",
        ),
        (
            lambda: pipeline(make_pipeline(CountVectorizer(), FunctionTransformer(lambda X: X))),
            ValueError,
            "step 'features' holds .*lambda",
        ),
        (
            lambda: pipeline(Embedding()),
            ValueError,
            r"step 'features' is or holds test_persistence\.Embedding",
        ),
    ],
)
def test_what_cannot_be_saved_is_named(make, error, message, tmp_path):
    model = make()
    with pytest.raises(error, match=message):
        save(model, tmp_path / "m")
    assert not list(tmp_path.iterdir())


class Embedding(TfidfVectorizer):
    pass


def pipeline(features):
    from sklearn.pipeline import Pipeline

    steps = [("features", features), ("student", DHOClassifier(net(), random_state=0))]
    return Pipeline(steps).fit(TEXTS, CODES)


def test_steps_need_skops(tmp_path, monkeypatch):
    model, _ = MODELS["scaled"]()
    monkeypatch.setitem(sys.modules, "skops", None)
    monkeypatch.setitem(sys.modules, "skops.io", None)
    with pytest.raises(ImportError, match=r'pip install "skactivekd\[save\]"'):
        save(model, tmp_path / "m")
    assert not list(tmp_path.iterdir())
    model[-1].save(tmp_path / "student")


# The folder


@pytest.fixture
def student():
    return teach(numbers(), net=net(module__hidden=4), names=("a", "b", "c"))


def test_a_snapshot_of_a_hub_is_a_saved_model(student, tmp_path):
    student.save(tmp_path / "model")
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    for number, path in enumerate(sorted((tmp_path / "model").iterdir())):
        path.rename(tmp_path / "blobs" / str(number))
        (tmp_path / "snapshot" / path.name).symlink_to(tmp_path / "blobs" / str(number))
    twin = load(tmp_path / "snapshot")
    assert np.array_equal(twin.predict_proba(numbers()), student.predict_proba(numbers()))


def test_nothing_is_replaced_unasked(student, tmp_path):
    folder = tmp_path / "some" / "model"
    student.save(folder)
    first = folder.joinpath("README.md").read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        student.save(folder)
    student.save(folder, overwrite=True, scores={"accuracy": 0.5})
    assert folder.joinpath("README.md").read_bytes() != first
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    (folder / "NOTES.md").write_text("mine")
    load(folder)  # other files are not looked at
    with pytest.raises(FileExistsError, match=r"also holds NOTES\.md"):
        student.save(folder, overwrite=True)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("mine")
    with pytest.raises(FileExistsError, match="no saved model"):
        student.save(tmp_path / "home", overwrite=True)
    with pytest.raises(FileExistsError, match="no folder"):
        student.save(tmp_path / "home" / "thesis.tex", overwrite=True)
    (tmp_path / "empty").mkdir()
    student.save(tmp_path / "empty")
    load(str(tmp_path / "empty"))


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("step", ["fsync", "check", "rename"])
def test_a_crash_leaves_what_was_there(student, tmp_path, monkeypatch, step, overwrite):
    folder = tmp_path / "model"
    if overwrite:
        student.save(folder, scores={"accuracy": 0.25})
    before = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    calls = []

    def fail(*args, **kwargs):
        calls.append(args)
        if step != "fsync" or len(calls) == 2:
            raise KeyboardInterrupt

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    elif step == "check":
        monkeypatch.setattr("skactivekd.persistence._saved_net.same_outputs", fail)
    else:
        rename = Path.rename

        def only_new(self, target):
            return fail() if self.name.endswith(".tmp") else rename(self, target)

        monkeypatch.setattr(Path, "rename", only_new)
    with pytest.raises(KeyboardInterrupt):
        student.save(folder, overwrite=overwrite)
    after = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before
    assert [path.name for path in tmp_path.iterdir()] == (["model"] if overwrite else [])


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "model"
    save(MODELS["tfidf"]()[0], folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


LEFT_AWAY = object()
FILES = ("config.json", "model.safetensors", "README.md", "step_0.skops")


def lay(saved, folder, **changed):
    for name, content in saved.items():
        (folder / name).write_bytes(content)
    for name, content in changed.items():
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.5, 0.77, 0.999])
@pytest.mark.parametrize("file", FILES)
def test_a_changed_byte_is_refused(saved, file, share, tmp_path):
    assert set(saved) == set(FILES)
    content = bytearray(saved[file])
    content[int(share * len(content))] ^= 1
    lay(saved, tmp_path, **{file: bytes(content)})
    with pytest.raises(ValueError, match=re.escape(str(tmp_path / file))):
        load(tmp_path)


@pytest.mark.parametrize("file", FILES)
def test_files_that_are_cut_or_gone_are_refused(saved, file, tmp_path):
    lay(saved, tmp_path, **{file: saved[file][:-1]})
    with pytest.raises(ValueError, match=re.escape(file)):
        load(tmp_path)
    lay(saved, tmp_path, **{file: b""})
    with pytest.raises(ValueError, match=re.escape(file)):
        load(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(file)):
        load(tmp_path)


@pytest.mark.parametrize("file", FILES)
def test_links_are_read_only_if_they_end_at_the_file_that_was_saved(saved, file, tmp_path):
    folder, outside = tmp_path / "in", tmp_path / "outside"
    folder.mkdir()
    lay(saved, folder)
    outside.write_bytes(saved[file])
    (folder / file).unlink()
    (folder / file).symlink_to(outside)  # as a snapshot of a hub has it
    load(folder)
    for elsewhere in ("/dev/zero", "/etc/hostname", file, str(tmp_path)):
        (folder / file).unlink()
        (folder / file).symlink_to(elsewhere)
        with pytest.raises(ValueError, match=re.escape(file)):
            load(folder)
    (folder / file).unlink()
    os.mkfifo(folder / file)
    with pytest.raises(ValueError, match=re.escape(file)):
        load(folder)


@pytest.mark.parametrize("files", [None, [], "x", {"README.md": 1}, {}])
def test_configs_without_files_are_refused(saved, files, tmp_path):
    lay(saved, tmp_path, **sealed(saved, files=files))
    with pytest.raises(ValueError, match=r"config\.json is not as it was saved"):
        load(tmp_path)


def sealed(saved, **changes):
    """Write the config anew, as if an attacker had."""
    from skactivekd.persistence import _folder

    config = json.loads(saved["config.json"])
    del config["sha256"]
    config |= changes
    text = _folder._as_text({**config, "sha256": _folder.checksum(_folder._as_text(config))})
    return {"config.json": text}


def test_a_newer_format_says_so(saved, tmp_path):
    newer = json.loads(saved["config.json"])
    newer |= {"format_version": 2, "versions": {"skactivekd": "9.1"}}
    lay(saved, tmp_path, **{"config.json": json.dumps(newer).encode()})
    with pytest.raises(ValueError, match=r"format 2, by skactivekd 9\.1.*Upgrade"):
        load(tmp_path)


@pytest.mark.parametrize(
    "name", ["../model.safetensors", "/etc/passwd", "a/b", "..", ".hid", "a\\b"]
)
def test_files_elsewhere_are_not_read(saved, name, tmp_path):
    (tmp_path / "in").mkdir()
    files = json.loads(saved["config.json"])["files"]
    files[name] = files["model.safetensors"]
    lay(saved, tmp_path / "in", **sealed(saved, files=files))
    lay(saved, tmp_path)
    with pytest.raises(ValueError, match="names files that are not its own"):
        load(tmp_path / "in")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("net_", "params", "module"), {"kind": "timm", "name": "hf-hub:evil/model"}),
        (("net_", "params", "module"), {"kind": "torch.nn", "name": "functional"}),
        (("net_", "params", "module"), {"kind": "else"}),
        (("net_", "params", "optimizer"), {"$class": "os.system"}),
        (("net_", "params", "callbacks"), {"$object": ["torch.optim.Adam", {}]}),
        (("net_", "params", "module__checkpoint_path"), "weights.pth"),
        (("net_", "params", "module__hidden"), 3),
        (("fitted", "classes_"), {"$array": {"dtype": "<i8", "shape": [9], "values": [1]}}),
        (("fitted", "__class__"), 1),
        (("fitted", "predict"), 1),
        (("fitted", "classes_"), None),
        (("fitted", "_row_shape"), LEFT_AWAY),
        (("params", "alpha"), "half"),
        (("params", "no_such"), 1),
        (("net_",), None),
    ],
)
def test_configs_that_describe_no_model_are_refused(saved, place, value, tmp_path):
    classifier = json.loads(saved["config.json"])["classifier"]
    inner = classifier
    for key in place[:-1]:
        inner = inner[key]
    if value is LEFT_AWAY:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    lay(saved, tmp_path, **sealed(saved, classifier=classifier))
    with pytest.raises(ValueError, match="cannot be loaded"):
        load(tmp_path)


def test_no_model_is_not_loaded(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no saved model"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no saved model"):
        load(tmp_path / "nothing")
    for text in (b"{}", b"[]", b"{", b"\xff", b'{"format": "other"}', b"[" * 10**5):
        (tmp_path / "config.json").write_bytes(text)
        with pytest.raises(ValueError, match=re.escape("config.json")):
            load(tmp_path)


def test_devices(student, tmp_path):
    student.save(tmp_path / "m")
    loaded = load(tmp_path / "m", device="auto")
    assert loaded.device == "auto"
    student.device = "cuda:77"
    with pytest.raises(ValueError, match=r"device='cuda:77', which is not here.*device='auto'"):
        load(tmp_path / "m", device="cuda:77")


def test_the_card_says_what_there_is(student, tmp_path):
    with pytest.raises(ValueError, match="finite numbers by name, but 'accuracy' is nan"):
        student.save(tmp_path / "m", scores={"accuracy": float("nan")})
    student.partial_fit(numbers()[:4], np.array(["a", "a", "b", ""], dtype=object))
    student.save(tmp_path / "m", scores={"accuracy on 500 rows": 0.875})
    card = (tmp_path / "m" / "README.md").read_text()
    for text in (
        "- accuracy on 500 rows: 0.875",
        "| a | 6 |",
        "| b | 5 |",
        f"Rows: {N + 4}, of which 15 labeled",
        "Calls of fit and partial\\_fit: 2".replace("\\", ""),
        "rows of 6 numbers",
        f"- skactivekd {skactivekd.__version__}",
        "- `net__module__hidden`: 4",
        "Teacher: probabilities that were given to fit",
    ):
        assert text in card
    scaled = make_pipeline(StandardScaler(), student)
    scaled.fit(numbers(), np.array(["a", "b", "c"])[CODES])
    save(scaled, tmp_path / "p")
    card = (tmp_path / "p" / "README.md").read_text()
    assert "Teacher: none" in card
    assert "Steps before it: standardscaler" in card


def test_what_skorch_brings_comes_back(tmp_path):
    callbacks = [
        ("stop", EarlyStopping("valid_loss", patience=2)),
        ("rate", LRScheduler("StepLR", step_size=3)),
        ("clip", GradientNormClipping(1.5)),
    ]
    split = ValidSplit(0.25, stratified=True, random_state=1)
    model = teach(numbers(), net=net(callbacks=callbacks, train_split=split), heads="dual")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.save(tmp_path)
    loaded = load(tmp_path)
    y = np.where(np.arange(N) < 30, CODES, -1)
    again, expected = (
        clone(twin).fit(numbers(), y).predict_proba(numbers()) for twin in (loaded, model)
    )
    np.testing.assert_array_equal(again, expected)


def test_accelerated_students_come_back_as_plain_ones(tmp_path):
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True)
    fast = skactivekd.student.AcceleratedDHONet(
        accelerator=accelerator, max_epochs=2, module__hidden=8
    )
    model = teach(numbers(), net=fast, device=None)
    with pytest.warns(UserWarning, match="left out: net: .*AcceleratedDHONet"):
        model.save(tmp_path)
    loaded = load(tmp_path, device="cpu")
    assert type(loaded.net_) is DHONet
    np.testing.assert_array_equal(loaded.predict_proba(numbers()), model.predict_proba(numbers()))
    with pytest.raises(ValueError, match=r"\(net: .*AcceleratedDHONet\)"):
        loaded.fit(numbers(), CODES)
