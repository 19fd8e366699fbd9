"""The embedded teacher, as open_clip itself loads it, and the digits it was trained on."""

import importlib
import io
import json
import socket
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from skactivekd.encoders._open_clip_models import GLYPH_CLASSES, GLYPH_DIR, GLYPH_TEMPLATES

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def offline():
    def refuse(*args, **kwargs):
        raise OSError("the network was asked")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        yield


@pytest.fixture(scope="module")
def clip(offline):
    """Model, transform and tokenizer."""
    import open_clip

    name = f"local-dir:{GLYPH_DIR}"
    model, _, transform = open_clip.create_model_and_transforms(name)
    return model.eval(), transform, open_clip.get_tokenizer(name)


@pytest.fixture(scope="module")
def handwritten(clip):
    """Zero-shot probabilities of scikit-learn's digits and the digits."""
    import open_clip
    from PIL import Image

    model, transform, tokenizer = clip
    digits = load_digits()
    pictures = [Image.fromarray(np.rint(x / 16 * 255).astype(np.uint8)) for x in digits.images]
    with torch.no_grad():
        head = open_clip.build_zero_shot_classifier(
            model, tokenizer, list(GLYPH_CLASSES.values()), GLYPH_TEMPLATES
        )
        images = torch.stack([transform(picture) for picture in pictures])
        logits = 100 * model.encode_image(images, normalize=True) @ head
    return logits.softmax(dim=1).numpy(), digits.target


@pytest.fixture
def script(request, monkeypatch):
    """A module of the benchmarks directory, by name."""
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module(request.param)


renderer = pytest.mark.parametrize("script", ["synthetic_digits"], indirect=True)
trainer = pytest.mark.parametrize("script", ["train_glyph"], indirect=True)


def test_the_ten_digits_and_their_names():
    assert list(GLYPH_CLASSES) == list(range(10))
    assert GLYPH_CLASSES[0] == "zero"
    assert GLYPH_CLASSES[9] == "nine"
    assert all(template.count("{}") == 1 for template in GLYPH_TEMPLATES)


def test_zero_shot_accuracy_on_handwriting(handwritten):
    proba, digits = handwritten
    assert (proba.argmax(axis=1) == digits).mean() >= 0.70


def test_confidence_resembles_accuracy(handwritten):
    proba, digits = handwritten
    accuracy = (proba.argmax(axis=1) == digits).mean()
    assert proba.max(axis=1).mean() == pytest.approx(accuracy, abs=0.1)


def test_numerals_serve_as_names_too(clip):
    model, _, tokenizer = clip
    with torch.no_grad():
        words, numerals = (
            model.encode_text(tokenizer([f"the digit {n}" for n in names]), normalize=True)
            for names in (GLYPH_CLASSES.values(), GLYPH_CLASSES)
        )
    assert ((words @ numerals.T).argmax(dim=1) == torch.arange(10)).all()


def test_weights_load_in_single_precision_with_the_scale_of_teachers(clip):
    model = clip[0]
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model.logit_scale.exp().item() == pytest.approx(100)


def test_size_in_a_wheel():
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in Path(GLYPH_DIR).iterdir():
            archive.write(file, file.name)
    assert len(wheel.getvalue()) <= 3 * 2**20


def test_files_are_readable_by_everyone():
    assert all(file.stat().st_mode & 0o444 == 0o444 for file in Path(GLYPH_DIR).iterdir())


@trainer
def test_only_tokens_of_captions_have_rows(script, clip):
    model, _, tokenizer = clip
    texts = [text for texts in script.captions() for text in texts]
    used = model.token_embedding.weight.abs().sum(dim=1) > 0
    assert set(used.nonzero().ravel().tolist()) == set(tokenizer(texts).unique().tolist())
    assert model.token_embedding.num_embeddings == 49408


@trainer
def test_templates_were_trained_on(script):
    for texts, name in zip(script.captions(), GLYPH_CLASSES.values(), strict=True):
        assert {template.format(name) for template in GLYPH_TEMPLATES} <= set(texts)


@trainer
def test_config_is_the_one_in_the_script(script):
    config = json.loads(Path(GLYPH_DIR, "open_clip_config.json").read_text())
    assert config == {"model_cfg": script.MODEL, "preprocess_cfg": script.PREPROCESS}


@trainer
def test_training_sees_pictures_as_the_transform_gives_them(script, clip):
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    seen = script.pixels(pixels[None].astype(np.float32) / 255)[0]
    np.testing.assert_allclose(seen, clip[1](Image.fromarray(pixels)), atol=0.02)


@trainer
def test_every_pair_of_one_digit_is_a_positive(script):
    image, text = torch.eye(3)[[0, 0, 1]], torch.eye(3)[[0, 0, 1, 1]]
    right = script.contrastive_loss(
        image, text, torch.tensor([5, 5, 7]), torch.tensor([5, 5, 7, 7])
    )
    wrong = script.contrastive_loss(
        image, text, torch.tensor([5, 5, 7]), torch.tensor([5, 7, 7, 7])
    )
    assert right < wrong


@trainer
def test_training_is_reproducible_and_writes_what_open_clip_loads(script, tmp_path, offline):
    import open_clip

    images = np.random.default_rng(0).random((20, 8, 8), dtype=np.float32)
    with torch.random.fork_rng():
        first, second = (script.fit_clip(images, np.arange(20) % 10, 2, seed=0) for _ in range(2))
        assert all(torch.equal(first[key], second[key]) for key in first)
        script.write(first, tmp_path / "glyph")
        model = open_clip.create_model(f"local-dir:{tmp_path / 'glyph'}")
    projection = model.text_projection
    torch.testing.assert_close(projection.detach(), first["text_projection"], atol=1e-3, rtol=0)


@renderer
@pytest.mark.parametrize("source", ["fonts", "pen"])
def test_rendering_follows_the_seed(script, source):
    def render(seed):
        return script.render(shapes, draw, 20, np.random.default_rng(seed))

    if source == "fonts":
        fonts = script.font_glyphs()
        shapes = {digit: [glyphs[digit] for glyphs in fonts.values()] for digit in range(10)}
        draw = script.draw_font
    else:
        shapes, draw = script.skeletons(), script.draw_pen
    images, digits = render(0)
    np.testing.assert_array_equal(images, render(0)[0])
    assert (images != render(1)[0]).any()
    assert images.dtype == np.float32
    assert images.shape == (20, 8, 8)
    assert digits.tolist() == [*range(10), *range(10)]
    np.testing.assert_array_equal(images * 16, np.rint(images * 16))
    assert images.min() == 0
    assert images.max() == 1


@renderer
def test_normalized_bitmaps_fill_the_height_and_sit_in_the_middle(script):
    rng = np.random.default_rng(0)
    bitmap = np.zeros((60, 60), dtype=bool)
    bitmap[10:30, 40:44] = True
    for _ in range(5):
        out = script.normalize(bitmap, rng)
        rows, columns = np.where(out)
        assert out.shape == (32, 32)
        assert np.ptp(rows) >= 29
        assert columns.mean() == pytest.approx(15.5, abs=1)


@renderer
def test_straightening_lines_up_the_left_edge(script):
    slanted = np.zeros((32, 32), dtype=bool)
    for row in range(32):
        slanted[row, 20 - row // 4 : 23 - row // 4] = True
    lefts = script._straighten(slanted).argmax(axis=1)
    assert np.ptp(lefts) <= 1


@renderer
def test_ink_is_evened_out(script):
    thin = np.zeros((32, 32), dtype=bool)
    thin[4:28, 16] = True
    thick = np.zeros((32, 32), dtype=bool)
    thick[2:30, 2:30] = True
    assert script._even_ink(thin).sum() > thin.sum()
    assert script._even_ink(thick).sum() < thick.sum()
    np.testing.assert_array_equal(script._even_ink(thick)[4:28, 4:28], thick[4:28, 4:28])
