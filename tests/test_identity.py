"""What counts as the same model: nothing stale is ever taken for it."""

import copy
import functools
import importlib
import pathlib
import sys
import threading
import types

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from torch import nn

from skactivekd import DHONet, SentenceEncoder, ZeroShotTeacher
from skactivekd.cache import EmbeddingCache
from skactivekd.cache._encoder_identity import identify
from skactivekd.encoders._base import encode_rows
from skactivekd.student import RowDataset, _reuse_distilled
from skactivekd.utils._code_identity import Unsure, is_installed
from skactivekd.utils._object_identity import state_key
from skactivekd.utils._own_fingerprint import fingerprint_of

X = np.random.default_rng(0).random((6, 5))
FACTOR = 1.0


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Fitted(BaseEstimator):
    """An encoder in scikit-learn's manner with fitted state."""

    def __init__(self, n=2, cache=None):
        self.n, self.cache = n, cache

    def fit(self, X):
        self.pca_ = PCA(self.n).fit(X)
        return self

    def encode_image(self, X):
        return unit(self.pca_.transform(X))


class ClassAttribute:
    factor = np.ones(5)

    def encode_image(self, X):
        return unit(X * self.factor)


class Constant:
    def encode_image(self, X):
        return unit(X[:, :2] + [FACTOR, 0])


class Net:
    def __init__(self):
        torch.manual_seed(0)
        self.net = nn.Linear(5, 3)

    def encode_image(self, X):
        with torch.no_grad():
            return unit(self.net(torch.tensor(X, dtype=torch.float32)).numpy())


class Weights:
    def __init__(self, path):
        self.path = path

    def encode_image(self, X):
        return unit(X * np.frombuffer(self.path.read_bytes()))


class Folder(Weights):
    def encode_image(self, X):
        with open(f"{self.path}/w", "rb") as file:
            return unit(X * np.frombuffer(file.read()))


def refit(encoder, folder):
    encoder.fit(X + np.eye(6, 5))


def train(encoder, folder):
    with torch.no_grad():
        encoder.net.weight[0, 0] += 1


def set_class_attribute(encoder, folder):
    ClassAttribute.factor = ClassAttribute.factor + np.eye(5)[0]


def set_constant(encoder, folder):
    global FACTOR
    FACTOR += 1


def rewrite(encoder, folder):
    (folder / "w").write_bytes(np.arange(1.0, 6).tobytes())


def replace_method(encoder, folder):
    encoder.encode_image = lambda X: unit(X[:, :2])


@pytest.mark.parametrize("where", ["memory", "file"])
@pytest.mark.parametrize(
    ("make", "change"),
    [
        (lambda folder: Fitted().fit(X), refit),
        (lambda folder: Fitted().fit(X), replace_method),
        (lambda folder: ClassAttribute(), set_class_attribute),
        (lambda folder: Constant(), set_constant),
        (lambda folder: Net(), train),
        (lambda folder: Weights(folder / "w"), rewrite),
        (lambda folder: Folder(folder), rewrite),
    ],
    ids=["refit", "method", "class attribute", "constant", "trained on", "weights", "folder"],
)
@pytest.mark.filterwarnings("ignore:.*fingerprint:UserWarning")
def test_an_encoder_that_changed_gives_no_embeddings_of_before(tmp_path, make, change, where):
    (tmp_path / "w").write_bytes(np.ones(5).tobytes())
    encoder = make(tmp_path)
    file = tmp_path / "elsewhere" / "cache" if where == "file" else None
    encoder.cache = EmbeddingCache(file)
    before = [encode_rows(encoder, X) for _ in range(2)][1]
    change(encoder, tmp_path)
    after, expected = encode_rows(encoder, X), encoder.encode_image(X)
    np.testing.assert_allclose(after, expected, atol=1e-6)
    assert np.abs(after - before).max() > 1e-3
    assert file is None or not file.exists()


def test_an_encoder_that_stays_the_same_encodes_once():
    seen = []

    class Counting(Fitted):
        n_rows = 0

        def encode_image(self, X):
            self.n_rows += len(X)
            seen.append(len(X))
            return super().encode_image(X)

    encoder = Counting(cache=EmbeddingCache()).fit(X)
    for _ in range(3):
        encode_rows(encoder, X)
    encode_rows(copy.deepcopy(encoder), X)
    assert seen == [6]
    encode_rows(clone(encoder).fit(X + 1), X)
    encode_rows(encoder, X[:3])
    assert sum(seen) in (12, 15)  # what the other counted may count as a change


def test_a_fingerprint_is_all_that_counts():
    class Promising(ClassAttribute):
        version, seen = 1, 0
        lock = threading.Lock()

        def fingerprint(self):
            return f"version {self.version}"

        def encode_image(self, X):
            Promising.seen += 1
            return super().encode_image(X)

    owner = identify(Promising(), "encode_image")
    assert isinstance(owner, str)
    encoder = Promising()
    for _ in range(2):
        encode_rows(encoder, X + 7)
        assert identify(encoder, "encode_image") == owner
    assert Promising.seen == 1
    encoder.version = 2
    assert identify(encoder, "encode_image") != owner
    encoder.fingerprint = lambda: 3
    with pytest.raises(TypeError, match=r"fingerprint\(\) returned a int; it must return a str"):
        identify(encoder, "encode_image")


def test_a_fingerprint_does_not_answer_for_a_subclass_or_a_method_put_in(tiny_sentence):
    class Upper(SentenceEncoder):
        def encode_text(self, texts):
            return super().encode_text([text.upper() for text in texts])

    class Named(SentenceEncoder):
        """Only documented otherwise."""

    assert fingerprint_of(Upper(tiny_sentence), ["encode_text"]) is None
    assert fingerprint_of(Named(tiny_sentence), ["encode_text"])
    assert identify(Upper(tiny_sentence), "encode_text").name.endswith("Upper.encode_text")
    encoder = SentenceEncoder(tiny_sentence)
    encoder.encode_text = lambda texts: np.ones((len(texts), 1))
    assert fingerprint_of(encoder, ["encode_text"]) is None


def test_a_method_put_into_an_installed_class_is_no_part_of_the_fingerprint(
    tiny_sentence, monkeypatch
):
    encoder = SentenceEncoder(tiny_sentence)
    encode = SentenceEncoder.encode_text

    @functools.wraps(encode)
    def shout(self, texts):
        return encode(self, [text.upper() for text in texts])

    assert fingerprint_of(encoder, ["encode_text"])
    monkeypatch.setattr(SentenceEncoder, "encode_text", shout)
    assert fingerprint_of(encoder, ["encode_text"]) is None


def test_an_encoder_that_cannot_be_identified_is_not_kept_and_says_so_once_it_matters():
    class Remote:
        cache = EmbeddingCache()

        def __init__(self):
            self.seen = 0
            self.stream = open(__file__)

        def encode_image(self, X):
            self.seen += 1
            return unit(X)

    encoder = Remote()
    with encoder.stream:
        encode_rows(encoder, X)
        with pytest.warns(UserWarning, match=r"Remote.encode_image encodes.*fingerprint\(\)"):
            encode_rows(encoder, X)
    assert encoder.seen == 2
    assert len(Remote.cache) == 0


def test_no_python_version_and_no_code_is_in_a_lasting_identity():
    class Encoder:
        def fingerprint(self):
            return "one"

        def encode_image(self, X):
            return X

    Encoder.__qualname__ = Encoder.__module__ = "encoder"
    owner = identify(Encoder(), "encode_image")
    assert owner == "encoder.encoder.encode_image c88d4df74262143a08e9d190e3bd67f1"
    Encoder.encode_image = lambda self, X: X[::-1]
    assert identify(Encoder(), "encode_image") == owner


# A distilled student


PROGRAM = """
import functools
import torch
from torch import nn
{imports}
{globals}

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        {first}
        self.layer = nn.Linear(5, {width})

    def forward(self, X):
        return torch.tanh(self.layer(X))
"""
CASES = {
    "global": {"imports": "from own_conf import K", "width": "K"},
    "module": {"imports": "import own_conf as c", "width": "c.K"},
    "inside": {"first": "from own_conf import K", "width": "K"},
    "inside as": {"first": "import own_conf as c", "width": "c.K"},
    "two levels": {"imports": "import own_conf as c", "width": "c.settings.K"},
    "two modules": {"imports": "import user", "width": "user.own_conf.K"},
    "getattr": {"imports": "import own_conf", "width": "getattr(own_conf, 'K')"},
    "computed": {"imports": "import own_conf", "width": "getattr(own_conf, 'k'.upper())"},
    "dict": {"imports": "import own_conf", "width": "own_conf.__dict__['K']"},
    "vars": {"imports": "import own_conf", "width": "vars(own_conf)['K']"},
    "handed on": {
        "imports": "import own_conf",
        "globals": "def read(module):\n    return module.K",
        "width": "read(own_conf)",
    },
    "cached": {
        "imports": "import own_conf",
        "globals": "@functools.lru_cache\ndef read():\n    return own_conf.K",
        "width": "read()",
    },
    "closure": {
        "imports": "import own_conf",
        "globals": "def make():\n    held = own_conf\n    return lambda: held.K\nread = make()",
        "width": "read()",
    },
    "closure over an object": {
        "imports": "import own_conf",
        "globals": "def make(held):\n    return lambda: held.K\nread = make(own_conf.settings)",
        "width": "read()",
    },
    "default": {
        "imports": "import own_conf",
        "globals": "def read(held=own_conf.settings):\n    return held.K",
        "width": "read()",
    },
    "sys.modules": {"imports": "import sys", "width": "sys.modules['own_conf'].K"},
    "importlib": {
        "imports": "import importlib",
        "width": "importlib.import_module('own_conf').K",
    },
    "globals": {"imports": "from own_conf import K", "width": "globals()['K']"},
    "eval": {"imports": "from own_conf import K", "width": "eval('K')"},
    "partial": {
        "imports": "import own_conf",
        "globals": "def read(held):\n    return held.K\nread = functools.partial(read, own_conf)",
        "width": "read()",
    },
    "property": {
        "imports": "import own_conf",
        "globals": "class S:\n    @property\n    def K(self):\n        return own_conf.K\ns = S()",
        "width": "s.K",
    },
    "descriptor": {
        "imports": "import own_conf",
        "globals": (
            "class D:\n    def __get__(self, *_):\n        return own_conf.K\n"
            "    def __set__(self, *_):\n        pass\n"
            "class S:\n    K = D()\ns = S()"
        ),
        "width": "s.K",
    },
    "metaclass": {
        "imports": "import own_conf",
        "globals": (
            "class M(type):\n    @property\n    def K(cls):\n        return own_conf.K\n"
            "class S(metaclass=M):\n    pass"
        ),
        "width": "S.K",
    },
    "left out of the pickle": {
        "imports": "import own_conf",
        "globals": (
            "class S:\n    def __getstate__(self):\n        return {}\n"
            "    @property\n    def K(self):\n        return self.own_conf.K\n"
            "s = S()\ns.own_conf = own_conf.settings"
        ),
        "width": "s.K",
    },
    "reduced to a name": {
        "imports": "import own_conf",
        "globals": (
            "class S:\n    def __reduce__(self):\n        return 's'\n"
            "    @property\n    def K(self):\n        return self.own_conf.K\n"
            "s = S()\ns.own_conf = own_conf.settings"
        ),
        "width": "s.K",
    },
    "bound method of a dict": {
        "imports": "import own_conf",
        "globals": "read = vars(own_conf.settings).get",
        "width": "read('K')",
    },
    "environment": {"imports": "import os", "width": "int(os.environ['SKACTIVEKD_K'])"},
    "file": {
        "imports": "import own_conf, pathlib",
        "width": "int(pathlib.Path(own_conf.place).read_text())",
    },
    "file beside": {
        "imports": "import pathlib",
        "width": "int((pathlib.Path(__file__).parent / 'width.txt').read_text())",
    },
    "file by name": {
        "imports": "import own_conf, pathlib",
        "width": "int(pathlib.Path(own_conf.stem + '.txt').read_text())",
    },
    "loaded": {"imports": "import own_conf, numpy as np", "width": "int(np.load(own_conf.array))"},
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Make a project of a user's own, and set what its network reads."""
    monkeypatch.syspath_prepend(str(tmp_path))
    place = tmp_path / "width.txt"
    (tmp_path / "own_conf.py").write_text(
        "import types\nK = 6\nsettings = types.SimpleNamespace(K=6)\n"
        f"place = {str(place)!r}\nstem = {str(tmp_path / 'width')!r}\n"
        f"array = {str(tmp_path / 'width.npy')!r}\n"
    )
    (tmp_path / "user.py").write_text("import own_conf\n")

    def start(**parts):
        parts = {"imports": "", "globals": "", "first": "", **parts}
        (tmp_path / "program.py").write_text(PROGRAM.format(**parts))
        importlib.invalidate_caches()
        module = importlib.import_module("program")
        importlib.import_module("own_conf")
        return module

    def change(width):
        own_conf = sys.modules["own_conf"]
        own_conf.K = own_conf.settings.K = width
        if "K" in vars(sys.modules["program"]):
            sys.modules["program"].K = width
        place.write_text(str(width))
        np.save(tmp_path / "width.npy", width)
        monkeypatch.setenv("SKACTIVEKD_K", str(width))

    yield start, change
    for name in ("own_conf", "user", "program"):
        sys.modules.pop(name, None)


def student_key(module):
    return _reuse_distilled.identify(DHONet(module), RowDataset(X, None, np.full((6, 2), 0.5)), 0)


@pytest.mark.parametrize("name", CASES)
def test_whatever_a_network_reads_counts(name, project):
    start, change = project
    module = start(**CASES[name])
    change(6)
    first, again = student_key(module.Net), student_key(module.Net)
    assert first == again
    change(7)
    assert module.Net().layer.out_features == 7 or name == "cached"
    second = student_key(module.Net)
    assert second is None or second != first


@pytest.mark.parametrize(
    "name",
    ["global", "module", "inside", "two levels", "two modules", "getattr", "handed on", "closure"],
)
def test_what_can_be_followed_is_found_again(name, project):
    start, change = project
    module = start(**CASES[name])
    change(6)
    assert student_key(module.Net) is not None


def test_a_plain_network_of_a_project_is_identified(project):
    start, _ = project
    module = start(width="6")
    assert student_key(module.Net) == student_key(module.Net) is not None
    assert not is_installed("program")


def test_a_module_without_a_file_is_no_installed_one(monkeypatch):
    made = types.ModuleType("made_by_hand")
    monkeypatch.setitem(sys.modules, "made_by_hand", made)
    assert not is_installed("made_by_hand")
    assert all(map(is_installed, ["builtins", "math", "torch.nn", "skactivekd.teacher", "os"]))


@pytest.mark.parametrize(
    "value",
    [
        lambda: (i for i in [1]),
        lambda: functools.lru_cache(lambda: 1),
        lambda: sys,
    ],
)
def test_what_has_no_visible_state_is_unsure(value):
    with pytest.raises(Unsure):
        state_key(value())


def test_arrays_and_tensors_count_by_value():
    a = np.arange(6.0).reshape(2, 3)
    assert state_key(a) == state_key(np.asfortranarray(a)) == state_key(a.copy())
    assert state_key(a) != state_key(a.T)
    assert state_key(a) != state_key(a.reshape(3, 2))
    assert state_key(a) != state_key(a.astype(np.float32))
    assert state_key([a, a]) != state_key([a, a.copy()])  # one array in two places
    tensor = torch.ones(3, dtype=torch.bfloat16)
    assert state_key(tensor) == state_key(tensor.clone()) != state_key(tensor.float())
    big = np.zeros(2**25, dtype=np.uint8)
    other = big.copy()
    other[-1] = 1
    assert state_key(big) != state_key(other)


def test_texts_that_name_files_count_by_the_files_state(tmp_path):
    path = tmp_path / "weights.bin"
    before = state_key(str(path))
    path.write_bytes(b"one")
    first = state_key(str(path))
    assert state_key(pathlib.Path(path)) == state_key(pathlib.Path(path))
    path.write_bytes(b"two")
    assert len({before, first, state_key(str(path))}) == 3
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "w").write_bytes(b"one")
    folder = state_key(str(tmp_path / "a"))
    assert state_key(str(tmp_path / "a")) == folder
    (inner / "w").write_bytes(b"two")
    assert state_key(str(tmp_path / "a")) != folder


ENCODED = []


class Counting(SentenceEncoder):
    """Remembers what it was given, in a global list that all clones share."""

    def encode_text(self, texts):
        ENCODED.extend(texts)
        return super().encode_text(texts)


def test_clones_in_other_models_find_what_one_that_counts_has_encoded(tiny_sentence):
    encoder = Counting(tiny_sentence, cache=EmbeddingCache(), batch_size=2)
    texts = ["the cat", "a dog", "dog", "cat", "ran", "sat"]
    for n in range(1, 4):
        names = {"classes": ["cat", "dog"], "templates": "the {}"}
        teacher = ZeroShotTeacher(encoder, **names, logit_scale=20)
        clone(teacher).fit().predict(texts[: 2 * n])
    assert len(ENCODED) == len(set(ENCODED)) == 7
