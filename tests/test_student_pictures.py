"""The student on image files: every way in, sizes, augmentation, errors, memory."""

import io
import os
import re
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback
from torch import nn
from torchvision.transforms import v2

from skactivekd import (
    Badge,
    ClassBalanced,
    CoreSet,
    DHOClassifier,
    DHONet,
    Entropy,
    LabeledStratifiedKFold,
    LeastConfidence,
    Margin,
    OpenCLIPEncoder,
    PCoreSet,
    Random,
    TeacherProba,
    UncertaintyHerding,
    ZeroShotTeacher,
    load_glyph_digits,
    simulate,
)
from skactivekd.encoders import ImageError, SkippedRowsWarning
from skactivekd.encoders._read_image import open_image
from skactivekd.modal import ActiveLearner
from skactivekd.student import RowDataset, _image_files
from skactivekd.student._augmentation import CropAndFlip, OwnView, PlainView, are_photos, drawing
from skactivekd.student._image_files import Pictures, holds_pictures, holds_texts
from skactivekd.student._reading_workers import Unreadable
from skactivekd.student._reuse_distilled import memory

N = 60


def tiny(**params):
    return DHONet(**{"max_epochs": 2, "batch_size": 16, "module__hidden": 8, **params})


def student(**params):
    return DHOClassifier(tiny(**params), random_state=0)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Paths of digits, the same as an array of bytes, and labels, most of them unknown."""
    folder = tmp_path_factory.mktemp("digits")
    X, truth = load_glyph_digits(return_X_y=True)
    X = np.repeat(np.repeat(np.round(X[:N] * 255).astype(np.uint8), 2, 1), 2, 2)
    paths = []
    for row, pixels in enumerate(X):
        paths.append(str(folder / f"{row}.png"))
        Image.fromarray(pixels).save(paths[-1])
    y = truth[:N].copy()
    y[30:] = -1
    return paths, X, y, truth[:N]


@pytest.fixture(scope="module")
def proba(digits):
    return np.eye(10)[digits[3]] * 0.9 + 0.01


@pytest.fixture(scope="module")
def fitted(digits, proba):
    return student().fit(digits[0], digits[2], proba)


def photos(folder, n=6, size=(90, 70), suffix="png", **options):
    """Colored noise, of which no two files are alike."""
    random, paths = np.random.RandomState(0), []
    for row in range(n):
        small = random.randint(256, size=(9, 7, 3), dtype=np.uint8)
        image = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)
        paths.append(str(folder / f"{row}.{suffix}"))
        image.save(paths[-1], **options)
    return paths


class Rows(torch.utils.data.Dataset):
    """A map-style data set that counts how often each row is read."""

    def __init__(self, images, pairs=False):
        self.images, self.pairs, self.reads = images, pairs, np.zeros(len(images), int)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, row):
        self.reads[row] += 1
        image = self.images[row]
        return (image, 7) if self.pairs else image


# ---- every way in


WAYS = {
    "list": lambda paths, X: paths,
    "tuple": lambda paths, X: tuple(paths),
    "array of str": lambda paths, X: np.array(paths),
    "array of objects": lambda paths, X: np.array(paths, dtype=object),
    "series": lambda paths, X: pd.Series(paths, index=range(5, 5 + len(paths))),
    "pathlib": lambda paths, X: [Path(path) for path in paths],
    "urls": lambda paths, X: [f"file://{path}" for path in paths],
    "bytes": lambda paths, X: [Path(path).read_bytes() for path in paths],
    "pil": lambda paths, X: [Image.fromarray(pixels) for pixels in X],
    "open pil": lambda paths, X: [Image.open(path) for path in paths],
    "data set": lambda paths, X: Rows([Image.fromarray(pixels) for pixels in X]),
    "tensors": lambda paths, X: Rows([torch.from_numpy(p)[None] for p in X], pairs=True),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_in_gives_the_same_student(digits, proba, fitted, way):
    paths, X, y, _ = digits
    taken = WAYS[way](paths, X)
    found = student().fit(taken, y, proba)
    assert not hasattr(found, "n_features_in_")
    expected = fitted.predict_proba(paths)
    np.testing.assert_array_equal(found.predict_proba(paths), expected)
    np.testing.assert_array_equal(fitted.predict_proba(taken), expected)
    np.testing.assert_array_equal(found.embed(taken), fitted.embed(paths))
    assert fitted.score(taken, y) == fitted.score(paths, y)


def test_a_student_of_files_takes_arrays_of_any_size(digits, fitted):
    paths, X, _, _ = digits
    np.testing.assert_array_equal(fitted.predict_proba(X), fitted.predict_proba(paths))
    larger = np.repeat(np.repeat(X, 3, 1), 3, 2)
    sizes = [X[0], larger[1], X[2]]
    assert fitted.predict_proba(larger).shape == (N, 10)
    np.testing.assert_allclose(
        fitted.predict_proba(sizes)[[0, 2]], fitted.predict_proba(X[[0, 2]]), rtol=1e-5
    )


def test_arrays_of_several_sizes_are_pictures(digits, proba):
    _, X, y, _ = digits
    mixed = [pixels if row % 2 else pixels[:12] for row, pixels in enumerate(X)]
    assert student().fit(mixed, y, proba).predict(mixed).shape == (N,)


def test_further_training_takes_files_too(digits, proba):
    paths, _, y, _ = digits
    found = student().fit(paths, y, proba)
    found.partial_fit(paths[:20], y[:20], teacher_proba=proba[:20])
    assert found.predict(paths).shape == (N,)


@pytest.mark.parametrize("heads", ["dual", "single"])
def test_all_heads_learn_from_files(digits, proba, heads):
    paths, _, y, _ = digits
    found = DHOClassifier(tiny(), heads=heads, random_state=0).fit(paths, y, proba)
    assert found.predict(paths).shape == (N,)
    alone = DHOClassifier(tiny(), random_state=0).fit(paths, y)
    assert alone.predict(paths).shape == (N,)


def test_weights_go_with_files(digits, proba):
    paths, _, y, _ = digits
    weight = np.ones(N)
    weight[0] = 0
    found = DHOClassifier(tiny(), class_weight="balanced", random_state=0)
    found.fit(paths, y, proba, sample_weight=weight)
    assert found.predict(paths).shape == (N,)


def test_arrays_and_files_cannot_be_exchanged(digits, proba, fitted):
    paths, X, y, _ = digits
    of_array = student().fit(X, y, proba)
    with pytest.raises(ValueError, match="fitted on an array with rows of shape"):
        of_array.predict(paths)
    with pytest.raises(ValueError, match="flat rows"):
        fitted.predict(X.reshape(N, -1))
    # An earlier width is forgotten.
    again = student().fit(np.zeros((N, 3)) + np.arange(N)[:, None], y, proba)
    assert again.n_features_in_ == 3
    assert not hasattr(again.fit(paths, y, proba), "n_features_in_")


def test_texts_are_told_from_paths(digits, proba):
    texts = ["a cat", "a dog.", "what?"]
    assert holds_texts(texts)
    assert not holds_pictures(texts)
    for step in (student(), make_pipeline(TeacherProba(None), student())):
        with pytest.raises(ValueError, match="TfidfVectorizer"):
            step.fit(texts, [0, 1, 0])
    frame = pd.DataFrame({"path": digits[0], "size": 1})
    with pytest.raises((TypeError, ValueError)):
        student().fit(frame, digits[2], proba)
    # A table of one column is its rows.
    assert student().fit(frame[["path"]], digits[2], proba).score(frame[["path"]], digits[2]) > 0


def test_urls_need_their_packages(digits, proba, monkeypatch):
    urls = [f"gopher://host/{row}.png" for row in range(N)]
    with pytest.raises(ValueError, match=r"Row 0 of X is .*, but fsspec knows"):
        student().fit(urls, digits[2], proba)
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    with pytest.raises(ImportError, match=r"skactivekd\[url\]"):
        student().fit(urls, digits[2], proba)


# ---- scikit-learn, modAL, strategies, simulate


@pytest.fixture(scope="module")
def pipe():
    return make_pipeline(TeacherProba(ZeroShotTeacher()), student())


def test_a_pipeline_hands_files_to_teacher_and_student(digits, pipe):
    paths, _, y, truth = digits
    found = pipe.fit(paths, y)
    assert found.score(paths, truth) > 0.1
    np.testing.assert_array_equal(found.predict_proba(paths), found.predict_proba(list(paths)))


@pytest.mark.parametrize("kind", [list, np.array, pd.Series])
def test_searches_and_cross_validation_slice_files(digits, pipe, kind):
    paths, _, y, _ = digits
    X, cv = kind(paths), LabeledStratifiedKFold(2)
    search = GridSearchCV(pipe, {"dhoclassifier__net__lr": [1e-3, 1e-2]}, cv=cv).fit(X, y)
    assert search.predict(X).shape == (N,)
    out = cross_val_predict(student(), X[:30], y[:30], cv=2, method="predict_proba")
    assert out.shape[0] == 30


@pytest.mark.parametrize("kind", [list, np.array, pd.Series])
@pytest.mark.parametrize(
    "strategy",
    [
        PCoreSet(),
        CoreSet(),
        Entropy(),
        Margin(),
        LeastConfidence(),
        Badge(random_state=0),
        UncertaintyHerding(random_state=0),
        ClassBalanced(),
        Random(random_state=0),
    ],
    ids=lambda strategy: type(strategy).__name__,
)
def test_strategies_choose_among_files(digits, fitted, strategy, kind):
    paths, _, y, _ = digits
    picks = strategy.query(kind(paths), y, fitted, n_instances=3)
    assert len(set(picks)) == 3
    assert (y[picks] == -1).all()


@pytest.mark.parametrize("kind", [list, np.array])
def test_modal_learns_from_files(digits, kind):
    paths, _, _, truth = digits
    learner = ActiveLearner(
        student(), PCoreSet(), X_training=kind(paths[:20]), y_training=truth[:20]
    )
    indices, rows = learner.query(kind(paths[20:]), n_instances=2)
    learner.teach(kind(list(rows)), truth[20:][indices])
    assert len(learner.y_training) == 22
    assert learner.predict(paths).shape == (N,)


def test_simulate_plays_on_files(digits, pipe, tmp_path):
    paths, _, _, truth = digits
    arguments = {"n_rounds": 2, "n_instances": 3, "seeds": 1}
    results = simulate(
        pipe,
        paths[:40],
        truth[:40],
        strategies=[PCoreSet(), Entropy()],
        progress=False,
        store=tmp_path / "store.csv",
        X_test=paths[40:],
        y_test=truth[40:],
        **arguments,
    )
    assert len(results) == 6


# ---- errors


def broken(digits, tmp_path):
    """Files of which four cannot be read: two as their header says, two as decoding shows."""
    paths = list(digits[0])
    for row, content in {3: b"", 50: None}.items():
        paths[row] = str(tmp_path / f"bad{row}.png")
        if content is not None:
            (tmp_path / f"bad{row}.png").write_bytes(content)
    late = list(digits[0])
    for row in (7, 55):
        late[row] = str(tmp_path / f"cut{row}.png")
        data = Path(digits[0][row]).read_bytes()
        (tmp_path / f"cut{row}.png").write_bytes(data[: len(data) // 2])
    return paths, late


@pytest.mark.parametrize("n_workers", [0, 2])
def test_all_bad_rows_are_named(digits, proba, fitted, tmp_path, n_workers):
    early, late = broken(digits, tmp_path)
    found = student(iterator_train__num_workers=n_workers, iterator_valid__num_workers=n_workers)
    for paths, rows in ((early, {3, 50}), (late, {7, 55})):
        with pytest.raises(ImageError, match=r"2 images cannot be read; .*:\n  row") as caught:
            found.fit(paths, digits[2], proba)
        assert set(caught.value.bad) == rows
        assert not hasattr(found, "net_")
        with pytest.raises(ImageError) as caught:
            fitted.predict(paths)
        assert set(caught.value.bad) == rows


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_what_is_no_picture_is_named_with_its_remedy(digits, proba, tmp_path, on_error):
    paths, _, y, _ = digits
    paths = [*paths]
    reasons = {
        3: ("missing.png", None, "no such file"),
        5: ("empty.png", b"", "an empty file"),
        9: ("text.jpg", b"no picture\n", "text, .*convert it to PNG or JPEG"),
        33: ("large.png", png_header(30_000, 30_000), "30000 x 30000 pixels, .*: shrink it"),
        34: ("folder.png", "", "a directory, not a file"),
        41: ("cut.png", Path(paths[0]).read_bytes()[:80], "a broken PNG file: "),
    }
    for row, (name, content, _) in reasons.items():
        paths[row] = str(tmp_path / name)
        if isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        elif content is not None:
            (tmp_path / name).mkdir()
    found = student(on_error=on_error)
    early, all_bad = {3, 5, 34}, set(reasons)
    if on_error == "raise":
        with pytest.raises(ImageError, match=r"in DHONet set on_error='skip':\n") as caught:
            found.fit(paths, y, proba)
        assert set(caught.value.bad) == early  # at a glance
        good = [paths[0] if row in early else path for row, path in enumerate(paths)]
        with pytest.raises(ImageError) as late:
            found.fit(good, y, proba)
        bad = {**caught.value.bad, **late.value.bad}
        assert not hasattr(found, "net_")
    else:
        with pytest.warns(SkippedRowsWarning) as warned:
            found.fit(paths, y, proba)
        bad = warned[0].message.bad
    assert set(bad) == all_bad
    for row, (name, _, reason) in reasons.items():
        assert re.search(f"{name}: {reason}", bad[row])


def png_header(width, height):
    """The beginning of a PNG file, which says how large it is."""
    size = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n", struct.pack(">I", 13), size, struct.pack(">I", zlib.crc32(size))]
    return b"".join(parts) + struct.pack(">I", 99) + b"IDAT"


def test_a_file_that_breaks_during_training_is_named(digits, proba, tmp_path):
    paths, _, y, _ = digits
    broken, whole = tmp_path / "broken.png", Path(paths[4]).read_bytes()
    broken.write_bytes(whole)

    class Break(Callback):
        def on_epoch_end(self, net, **kwargs):
            broken.write_bytes(whole[:80])

    paths = [*paths[:4], str(broken), *paths[5:]]
    found = student().fit(paths, y, proba)
    expected = found.predict_proba(digits[0])
    found.set_params(net__callbacks=[("break", Break())])
    with pytest.raises(ImageError, match=r"in DHONet set on_error='skip':\n  row 4: .*broken\.png"):
        found.fit(paths, y, proba)
    assert np.array_equal(found.predict_proba(digits[0]), expected)


def test_files_that_change_during_training_are_named(digits, proba, tmp_path):
    paths, _, y, _ = digits
    changed = Path(shutil.copy(paths[4], tmp_path / "changed.png"))

    class Change(Callback):
        def on_epoch_end(self, net, **kwargs):
            changed.write_bytes(Path(paths[7]).read_bytes())

    found = student(callbacks=[("change", Change())])
    with pytest.warns(UserWarning, match=r"Fit again.*\n  row 4: .*changed\.png"):
        found.fit([*paths[:4], str(changed), *paths[5:]], y, proba)
    assert found.predict(paths).shape == (N,)


class Faulty(Rows):
    """A data set one of whose rows raises."""

    def __getitem__(self, row):
        if row == 4:
            raise KeyError("lost")
        return super().__getitem__(row)


def test_rows_of_a_data_set_that_raise_are_named(digits, proba):
    images, y = [Image.fromarray(pixels) for pixels in digits[1]], digits[2]
    for rows, why in (
        (Faulty(images), "KeyError: 'lost'"),
        (Rows([*images[:4], b"", *images[5:]]), "no bytes"),
        (Rows([*images[:4], digits[0][4][:40] + "?", *images[5:]]), "no such file"),
    ):
        for step in (student(), make_pipeline(TeacherProba(ZeroShotTeacher()), student())):
            with pytest.raises(ImageError) as caught:
                step.fit(rows, y, **({} if hasattr(step, "steps") else {"teacher_proba": proba}))
            assert list(caught.value.bad) == [4]
            assert why in caught.value.bad[4].lower() or why in caught.value.bad[4]


def test_numbers_in_place_of_pictures_open_no_file_of_the_process(digits, proba, tmp_path):
    with open(tmp_path / "kept.txt", "w") as kept:
        paths = [*digits[0][:5], kept.fileno(), *digits[0][6:]]
        with pytest.warns(SkippedRowsWarning, match="row 5: .* is a int, neither a file path"):
            student(on_error="skip").fit(paths, digits[2], proba)
        kept.write("still open")
        kept.flush()
    assert (tmp_path / "kept.txt").read_text() == "still open"


def test_a_huge_picture_is_not_decoded_to_learn_its_size(tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    path.write_bytes(png_header(30_000, 30_000))
    monkeypatch.setattr(PngImageFile, "load", lambda self: pytest.fail("decoded"))
    assert Pictures([str(path)]).size(0) is None


def test_an_iterator_of_paths_is_refused(digits, proba, fitted):
    paths, _, y, _ = digits
    with pytest.raises(TypeError, match=r"can be read once: pass list\(X\)"):
        student().fit(iter(paths), y, proba)
    with pytest.raises(TypeError, match="a list of file paths"):
        fitted.predict(iter(paths))


def test_bad_rows_are_skipped_on_request(digits, proba, tmp_path):
    y = digits[2]
    for paths in broken(digits, tmp_path):
        bad = [row for row in range(N) if paths[row] != digits[0][row]]
        with pytest.warns(SkippedRowsWarning) as caught:
            found = student(on_error="skip").fit(paths, y, proba)
        assert sorted(caught[0].message.bad) == bad
        good = np.setdiff1d(np.arange(N), bad)
        left = student(on_error="skip").fit([paths[row] for row in good], y[good], proba[good])
        with pytest.warns(SkippedRowsWarning):
            out = found.predict_proba(paths)
        np.testing.assert_array_equal(out[bad], np.full((2, 10), np.float32(0.1)))
        expected = left.predict_proba([paths[row] for row in good])
        np.testing.assert_array_equal(out[good], expected)
        with pytest.warns(SkippedRowsWarning):
            proba_again, features = found.predict_proba_embed(paths)
        np.testing.assert_array_equal(proba_again, out)
        assert not features[bad].any()
        with pytest.warns(SkippedRowsWarning):
            picks = Entropy().query(paths, y, found, n_instances=3)
        assert not set(picks) & set(bad)
        with pytest.raises(ImageError, match="there is no other"):
            found.predict([paths[row] for row in bad])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"image_size": 0}, "image_size must be"),
        ({"image_size": "big"}, "image_size must be"),
        ({"augment": "strong"}, "augment must be"),
        ({"on_error": "ignore"}, "on_error="),
        ({"augment": lambda image: image[:, 0]}, "must turn a tensor of shape"),
        ({"augment": v2.ToDtype(torch.float32)}, "Leave Normalize out"),
        ({"augment": v2.ToDtype(torch.int64)}, "uint8 or floats"),
        ({"module": nn.Flatten, "module__hidden": []}, None),
    ],
)
def test_settings_are_checked(digits, proba, params, message):
    if message is None:
        net = DHONet(nn.Flatten, max_epochs=1)
        with pytest.raises(ValueError, match="Set image_size of DHONet"):
            DHOClassifier(net, random_state=0).fit(digits[0], digits[2], proba)
        net.set_params(image_size=(8, 6))
        found = DHOClassifier(net, random_state=0).fit(digits[0], digits[2], proba)
        assert found.embed(digits[0]).shape == (N, 3 * 8 * 6)
        return
    with pytest.raises(ValueError, match=message):
        student(**params).fit(digits[0], digits[2], proba)


def test_open_images_are_not_shared_by_processes(digits, proba):
    images = [Image.open(path) for path in digits[0]]
    found = DHOClassifier(tiny(iterator_train__num_workers=1), reuse=False)
    with pytest.raises(ValueError, match="several processes cannot share"):
        found.fit(images, digits[2], proba)
    for image in images:
        image.close()


# ---- reading


def test_each_row_is_read_once_an_epoch(digits, proba):
    rows = Rows([Image.fromarray(pixels) for pixels in digits[1]])
    net = DHONet(max_epochs=3, batch_size=10, module__hidden=8)
    found = DHOClassifier(net, random_state=0, reuse=False).fit(rows, digits[2], proba)
    # Three epochs, one look at the features, and a sample that says how large the pictures are.
    assert set(rows.reads) == {4, 5}
    rows.reads[:] = 0
    found.predict(rows)
    assert set(rows.reads) == {1}


def test_new_labels_read_nothing_twice(digits, proba):
    rows, (_, _, y, truth) = Rows([Image.fromarray(pixels) for pixels in digits[1]]), digits
    memory.clear()
    found = student().fit(rows, y, proba)
    rows.reads[:] = 0
    more = np.where(np.arange(N) < 40, truth, -1)
    found.fit(rows, more, proba)
    # A data set has no state but its content, which must be looked at; files have.
    assert rows.reads.max() <= 2
    alone = DHOClassifier(tiny(), random_state=0, reuse=False).fit(digits[0], more, proba)
    np.testing.assert_allclose(
        found.predict_proba(digits[0]), alone.predict_proba(digits[0]), atol=1e-6
    )


def test_changed_files_are_not_taken_for_the_old_ones(digits, proba, tmp_path):
    paths = [shutil.copy(path, tmp_path) for path in digits[0]]
    before = Pictures(paths).identity()
    assert Pictures(paths).identity() == before
    status, data = os.stat(paths[0]), Path(paths[0]).read_bytes()
    changed = bytearray(data)
    changed[len(data) // 2] ^= 1
    with open(paths[0], "r+b") as file:
        file.write(changed)
    os.utime(paths[0], ns=(status.st_atime_ns, status.st_mtime_ns))
    assert os.stat(paths[0]).st_size == status.st_size
    assert Pictures(paths).identity() != before
    assert Pictures(paths[::-1]).identity() != Pictures(paths).identity()
    settled = Pictures(digits[0]).identity()
    assert settled == Pictures(digits[0]).identity()


def test_workers_change_nothing(tmp_path):
    paths, y = photos(tmp_path, 12), [0, 1] * 6
    proba = np.eye(2)[y] * 0.8 + 0.1

    def weights(**params):
        net = tiny(image_size=80, module__width=8, batch_size=4, **params)
        found = DHOClassifier(net, random_state=0, reuse=False).fit(paths, y, proba)
        assert isinstance(found.net_.augment_, CropAndFlip) or params == {"augment": None}
        return torch.cat([p.flatten() for p in found.net_.module_.parameters()])

    alone = weights()
    for n_workers in (1, 2):
        assert torch.equal(alone, weights(iterator_train__num_workers=n_workers))
    assert not torch.equal(alone, weights(augment=None))


def test_processes_are_counted_with_sense(digits, monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 32)
    paths = digits[0]
    assert Pictures(paths).count_workers(10) == 0
    assert Pictures(paths).count_workers(1000) == (8 if _image_files._forks() else 0)
    assert Pictures([Image.fromarray(digits[1][0])]).count_workers(1000) == 0
    assert Pictures(digits[1]).count_workers(1000) == 0


def test_random_state_and_global_generators_are_kept(tmp_path):
    paths, y = photos(tmp_path, 8), [0, 1] * 4
    states = torch.get_rng_state(), np.random.get_state()[1]
    student(image_size=80, module__width=2).fit(paths, y)
    assert torch.equal(states[0], torch.get_rng_state())
    assert (states[1] == np.random.get_state()[1]).all()


def test_draws_follow_the_seed_alone():
    def draws():
        return torch.rand(()).item(), np.random.rand(), __import__("random").random()

    with drawing() as start:
        start(3)
        first = draws()
    draws()
    with drawing() as start:
        start(3)
        assert draws() == first


# ---- sizes and normalization


@pytest.mark.parametrize(
    "name", ["resnet18", "vit_tiny_patch16_224", "convnext_atto", "mobilenetv3_small_050"]
)
def test_views_and_normalization_are_those_of_timm(tmp_path, name):
    import timm

    paths = photos(tmp_path, 3, (301, 217))
    model = timm.create_model(name, num_classes=0)
    config = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**config, is_training=False)
    expected = torch.stack([transform(open_image(path)) for path in paths])
    net = DHONet(name, n_classes=2, device="cpu")
    net.set_params(input_shape=net._find_input_shape(Pictures(paths)))
    assert net.input_shape == config["input_size"]
    with drawing() as start:
        start(0)
        net.initialize()
    pixels = net._show(paths).read(range(3)).float() / 255
    np.testing.assert_allclose(net.module_.scaler(pixels), expected, atol=1e-4)
    assert net.module_.scaler.mean.flatten().tolist() == pytest.approx(config["mean"])
    assert len(net.embed(paths)) == 3


@pytest.mark.parametrize(
    ("name", "n_channels", "expected"),
    [
        ("vit_tiny_patch16_224", 3, (224, 224)),
        ("vit_tiny_patch16_224", 1, (224, 224)),
        ("resnet10t", 3, (40, 36)),
    ],
)
def test_arrays_keep_their_size_where_the_backbone_lets_them(name, n_channels, expected):
    X = np.random.RandomState(0).randint(256, size=(6, n_channels, 40, 36), dtype=np.uint8)
    net = DHONet(name, max_epochs=1, batch_size=3)
    found = DHOClassifier(net, random_state=0).fit(X, [0, 1] * 3)
    assert found.net_.input_shape == (n_channels, *expected)
    seen = []
    hook = found.net_.module_.backbone.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0])
    )
    found.predict(X)
    hook.remove()
    assert seen[0].shape[1:] == (n_channels, *expected)
    assert abs(float(seen[0].mean())) < 0.5
    assert 0.3 < float(seen[0].std()) < 2


def test_a_vision_transformer_is_built_for_the_size_that_is_set(tmp_path):
    paths = photos(tmp_path, 4)
    net = DHONet("vit_tiny_patch16_224", image_size=32, max_epochs=1)
    found = DHOClassifier(net, random_state=0).fit(paths, [0, 1, 0, 1])
    assert found.net_.module_.backbone.patch_embed.num_patches == 4
    net = DHONet("vit_tiny_patch16_224", module__img_size=48, max_epochs=1)
    found = DHOClassifier(net, random_state=0).fit(paths, [0, 1, 0, 1])
    assert found.net_.input_shape == (3, 48, 48)


def test_models_of_timm_that_are_given_built_are_normalized_too(tmp_path):
    import timm

    paths = photos(tmp_path, 4)
    model = timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=32)
    found = DHOClassifier(DHONet(model, max_epochs=1), random_state=0).fit(paths, [0, 1, 0, 1])
    assert found.net_.input_shape == (3, 32, 32)
    assert found.net_.module_.scaler.mean.flatten().tolist() == [0.5, 0.5, 0.5]


def test_arrays_that_are_normalized_are_not_normalized_again():
    X = np.random.RandomState(0).normal(size=(4, 3, 32, 32)).astype(np.float32)
    found = DHOClassifier(DHONet("resnet10t", max_epochs=1)).fit(X, [0, 1, 0, 1])
    assert found.net_.module_.scaler is None
    pixels = X - X.min()
    found.fit(pixels / pixels.max(), [0, 1, 0, 1])
    assert found.net_.module_.scaler is not None
    with pytest.raises(ValueError, match="needs a backbone of timm's"):
        DHOClassifier(DHONet(normalize=True)).fit(X, [0, 1, 0, 1])


def test_small_pictures_are_not_blown_up(tmp_path, digits, fitted):
    assert fitted.net_.input_shape == (3, 16, 16)
    paths = photos(tmp_path, 4)
    found = student(module__width=2).fit(paths, [0, 1, 0, 1])
    assert found.net_.input_shape == (3, 64, 64)
    assert found.net_.augment_ is None
    assert student(image_size=20).fit(paths, [0, 1, 0, 1]).net_.input_shape == (3, 20, 20)


def test_exif_turns_the_pictures_of_the_student_too(tmp_path, fitted):
    scene = np.zeros((24, 24), dtype=np.uint8)
    scene[:8, :12] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.png"
    Image.fromarray(np.rot90(scene)).save(path, exif=exif)
    np.testing.assert_array_equal(fitted.predict_proba([path]), fitted.predict_proba(scene[None]))
    wide = io.BytesIO()
    Image.new("RGB", (50, 20)).save(wide, "JPEG", exif=exif)
    assert Pictures([wide.getvalue()]).size(0) == (20, 50)


# ---- augmentation


def test_photos_are_told_from_drawings(tmp_path):
    pictures = [open_image(path) for path in photos(tmp_path, 3)]
    assert are_photos(pictures)
    drawing = Image.new("RGB", (90, 70), "white")
    drawing.paste(pictures[0].crop((0, 0, 40, 40)), (5, 5))
    gray = [image.convert("L").convert("RGB") for image in pictures]
    small = [image.resize((60, 60)) for image in pictures]
    assert not are_photos([drawing] * 3)
    assert not are_photos(gray)
    assert not are_photos(small)
    assert not are_photos([])


def test_crop_and_flip_keeps_size_and_type(tmp_path):
    image = open_image(photos(tmp_path, 1)[0])
    view, made = CropAndFlip((20, 30), "bicubic"), []
    for seed in range(8):
        with drawing() as start:
            start(seed)
            made.append(view(image))
    assert {(item.shape, item.dtype) for item in made} == {((3, 20, 30), torch.uint8)}
    assert len({item.numpy().tobytes() for item in made}) == 8
    plain = PlainView((20, 30))(image).float().mean(dim=(1, 2))
    assert (torch.stack(made).float().mean(dim=(0, 2, 3)) - plain).abs().max() < 30


@pytest.mark.parametrize("files", [True, False])
def test_a_row_drawn_twice_is_read_once_and_seen_in_two_views(digits, files, monkeypatch):
    paths, X, _, _ = digits
    opened = []
    monkeypatch.setattr(
        _image_files, "open_image", lambda item: opened.append(item) or open_image(item)
    )
    shift = v2.RandomAffine(0, translate=(0.3, 0.3))
    view = OwnView(shift, PlainView((16, 16)))
    rows = RowDataset(Pictures(paths) if files else X)
    once, twice = (rows._take(taken, view, (0, 1))[0]["X"] for taken in ([4, 7], [7, 4, 7, 7]))
    assert len(opened) == (4 if files else 0)
    assert torch.equal(twice[:2], once[[1, 0]])
    assert len({pixels.numpy().tobytes() for pixels in twice[[0, 2, 3]]}) == 3


def test_what_timm_says_of_its_model_may_be_changed(tmp_path):
    path = photos(tmp_path, 1, (301, 217))[0]
    overlay = {"crop_pct": 1.0, "interpolation": "bilinear"}
    net = DHONet("resnet18", module__pretrained_cfg_overlay=overlay, n_classes=2)
    net.set_params(input_shape=net._find_input_shape(Pictures([path])))
    shown = net._show([path]).read([0])[0].float()
    expected = v2.Compose([v2.Resize(224), v2.CenterCrop(224), v2.PILToTensor()])(open_image(path))
    assert net.input_shape == (3, 224, 224)
    np.testing.assert_allclose(shown, expected.float(), atol=1)
    plain = DHONet("resnet18", n_classes=2, input_shape=(3, 224, 224))._show([path]).read([0])[0]
    assert (shown - plain.float()).abs().mean() > 2


@pytest.mark.parametrize("files", [True, False])
def test_augmentation_of_the_user_sees_training_only(digits, proba, files):
    paths, X, y, _ = digits
    seen = []

    def invert(pixels):
        assert pixels.shape[1:] == (16, 16)
        assert pixels.dtype == torch.uint8
        seen.append(torch.rand(()).item())
        return 255 - pixels

    taken = paths if files else X
    found = student(augment=invert).fit(taken, y, proba)
    n_seen = len(seen)
    assert n_seen == 2 * N if files else 2 * N <= n_seen < 2 * N + 32
    assert len(set(seen)) == n_seen  # another view of each row in each epoch
    found.predict(taken)
    assert len(seen) == n_seen
    plain = student().fit(taken, y, proba)
    assert not np.array_equal(found.predict_proba(taken), plain.predict_proba(taken))


def test_transforms_of_torchvision_work(tmp_path):
    paths, y = photos(tmp_path, 6), [0, 1] * 3
    augment = v2.Compose(
        [v2.RandomResizedCrop(24), v2.RandAugment(), v2.ToDtype(torch.float32, scale=True)]
    )
    found = student(augment=augment, image_size=24).fit(paths, y)
    again = student(augment=augment, image_size=24).fit(paths, y)
    np.testing.assert_array_equal(found.predict_proba(paths), again.predict_proba(paths))
    odd = student(augment=v2.Resize((30, 20)), image_size=(24, 16)).fit(paths, y)
    assert odd.predict(paths).shape == (6,)
    X = np.stack([np.asarray(open_image(path)) for path in paths])
    assert student(augment=v2.RandomHorizontalFlip()).fit(X, y).predict(X).shape == (6,)
    with pytest.raises(ValueError, match="is for images"):
        student(augment=v2.RandomHorizontalFlip()).fit(np.eye(6), y)


def test_unreadable_batches_carry_their_rows(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    read = Pictures([str(tmp_path / "a.png")]).shown(PlainView((8, 8))).read([0])
    assert isinstance(read, Unreadable)
    assert list(read.bad) == [0]


# ---- what runs at prediction


def test_the_encoder_runs_at_prediction_by_name_only(digits):
    from sklearn.preprocessing import StandardScaler

    from skactivekd import Embedder

    paths, _, y, _ = digits
    embedder = Embedder(OpenCLIPEncoder())
    for features in (embedder, ZeroShotTeacher(), make_pipeline(embedder, StandardScaler())):
        step = TeacherProba(ZeroShotTeacher(), features=features)
        with pytest.raises(ValueError, match="encoder_at_predict=True"):
            step.fit(paths, y)
    step = TeacherProba(ZeroShotTeacher(), features=embedder, encoder_at_predict=True)
    found = make_pipeline(step, DHOClassifier(DHONet(max_epochs=2, module__hidden=8)))
    assert found.fit(paths, y).predict(paths).shape == (N,)


def test_a_file_put_in_place_of_another_is_another(tmp_path):
    path, other = tmp_path / "a.png", tmp_path / "b.png"
    for file in (path, other):
        file.write_bytes(b"1")
        os.utime(file, ns=(10**18, 10**18))
    before = Pictures([str(path)]).identity()
    assert Pictures([str(path)]).identity() == before
    os.replace(other, path)
    assert Pictures([str(path)]).identity() != before


def test_settings_of_images_are_refused_for_other_rows():
    X, y, taught = np.zeros((8, 3)), np.arange(8) % 2, np.full((8, 2), 0.5)
    for heads in ("residual", "dual"):
        clf = DHOClassifier(DHONet(max_epochs=1, image_size=32), heads=heads)
        with pytest.raises(ValueError, match="image_size=32 is for images"):
            clf.fit(X, y, taught)


# ---- the teacher on the student's views


def test_views_that_are_none_are_said_to_be_none(digits):
    paths, _, y, _ = digits
    step = TeacherProba(ZeroShotTeacher(), teacher_views="augmented")  # small pictures
    clf = DHOClassifier(DHONet(max_epochs=1, module__hidden=8), random_state=0)
    with pytest.warns(UserWarning, match="nothing is augmented here"):
        make_pipeline(step, clf).fit(paths, y)


@pytest.mark.parametrize("heads", ["residual", "dual"])
@pytest.mark.parametrize("files", [True, False])
def test_the_teacher_sees_the_views_of_training(digits, heads, files):
    paths, X, y, _ = digits
    seen = []

    def teacher(images):
        if isinstance(images, np.ndarray) and images.ndim == 4:  # not X itself
            assert images.dtype == np.uint8
            assert images.shape[1:] == (16, 16, 3 if files else 1)
            seen.append(images)
        return np.full((len(images), 10), 0.1)

    def fit(views, augment):
        step = TeacherProba(teacher, teacher_views=views, cache=False)
        net = DHOClassifier(tiny(augment=augment), heads=heads, classes=range(10), random_state=0)
        return make_pipeline(step, net).fit(paths if files else X, y)

    def darken(pixels):
        return pixels // 2 if pixels.dtype == torch.uint8 else pixels / 2

    fit("once", darken)
    assert not seen
    with pytest.warns(UserWarning, match="nothing is augmented here"):
        fit("augmented", None)  # whose views are the images themselves
    assert not seen
    model = fit("augmented", darken)
    assert sum(map(len, seen)) >= 2 * 30
    assert max(images.max() for images in seen) <= 128
    assert model[-1].net_._asked is None
    seen.clear()
    model.predict(paths if files else X)
    assert not seen


def test_a_teacher_left_out_sees_no_views(digits):
    paths, _, y, _ = digits
    asked = []

    def teacher(images):
        asked.append(len(images))
        return np.full((len(images), 10), 0.1)

    step = TeacherProba(teacher, teacher_views="augmented")
    net = tiny(augment=v2.RandomRotation(5))
    clf = DHOClassifier(net, distill_weight=0, classes=range(10), random_state=0)
    make_pipeline(step, clf).fit(paths, y)
    assert asked == [N]  # by TeacherProba itself


def test_teachers_of_views_are_checked(digits, proba):
    paths, X, y, _ = digits
    with pytest.raises(ValueError, match="'once' or 'augmented'"):
        TeacherProba(ZeroShotTeacher(), teacher_views="twice").fit(paths, y)
    with pytest.raises(ValueError, match="teacher that can be asked"):
        TeacherProba(proba, teacher_views="augmented").fit(paths, y)
    with pytest.raises(ValueError, match="is for images"):
        TeacherProba(ZeroShotTeacher(), teacher_views="augmented").fit(X.reshape(N, -1), y)
    step = TeacherProba(ZeroShotTeacher(), teacher_views="augmented")
    model = make_pipeline(step, student(augment=v2.RandomRotation(5))).fit(paths, y)
    assert model.predict(paths).shape == (N,)


# ---- files of all kinds


def test_a_folder_of_all_kinds_of_files(tmp_path):
    from benchmarks.bench_files import make_folder

    paths, truth, cut = make_folder(tmp_path, 45, sizes=(32, 200))
    y = np.where(np.arange(45) % 3 == 0, truth, -1)
    proba = np.eye(2)[truth] * 0.8 + 0.1
    with pytest.raises(ImageError) as caught:
        student().fit(paths, y, proba)
    assert sorted(caught.value.bad) == cut.tolist()
    found = student(on_error="skip", max_epochs=15, module__hidden=32)
    with pytest.warns(SkippedRowsWarning) as warned:
        found.fit(paths, y, proba)
    assert sorted(warned[0].message.bad) == cut.tolist()
    good = np.setdiff1d(np.arange(45), cut)
    assert found.score([paths[row] for row in good], truth[good]) > 0.7
