"""How far a call wanders: moves between files of this package, and what is done twice."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import skactivekd
from skactivekd import EmbeddingCache, OpenCLIPEncoder, ZeroShotTeacher

ROOT = str(Path(skactivekd.__file__).parent)


def watch(call):
    """The files of this package that a call enters one after the other, and its functions."""
    places, functions = [], []

    def note(frame, event, _):
        code = frame.f_code
        if event in ("call", "return") and code.co_filename.startswith(ROOT):
            if event == "call":
                functions.append(code.co_name)
            if not places or places[-1] != code.co_filename:
                places.append(code.co_filename)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return len(places) - 1, functions


@pytest.fixture
def paths(tmp_path):
    random, found = np.random.RandomState(0), []
    for row in range(3):
        found.append(str(tmp_path / f"{row}.png"))
        pixels = random.randint(256, size=(20, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(found[-1])
    return found


@pytest.mark.parametrize("place", [None, "cache.sqlite"])
def test_a_picture_makes_few_moves(paths, tmp_path, place):
    cache = EmbeddingCache(place and tmp_path / place)
    teacher = ZeroShotTeacher(OpenCLIPEncoder(cache=cache)).fit()
    teacher.predict_proba(paths[:1])  # opens the file, and imports what is left
    moves, functions = watch(lambda: teacher.predict_proba(paths[1:2]))
    assert moves <= 35
    assert functions.count("hash_model_file") == 1
    assert functions.count("find_source") == 1
    moves, functions = watch(lambda: teacher.predict_proba(paths[1:2]))
    assert moves <= 12
    assert functions.count("hash_model_file") == 1
    assert "encode_image" not in functions


def test_many_batches_settle_the_model_once(paths, tmp_path):
    encoder = OpenCLIPEncoder(cache=EmbeddingCache(), batch_size=1, n_workers=0)
    teacher = ZeroShotTeacher(encoder).fit()
    _, functions = watch(lambda: teacher.predict_proba(paths))
    assert functions.count("_embed_image") == 3
    for name in ("hash_model_file", "find_source", "_load_model", "_fingerprint"):
        assert functions.count(name) == 1
