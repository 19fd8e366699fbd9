"""The encoder reads files ahead of the model, and data sets row by row."""

import numpy as np
import pytest
import torch
from PIL import Image

from skactivekd import OpenCLIPEncoder
from skactivekd.cache import EmbeddingCache
from skactivekd.encoders import ImageError, _open_clip_preprocess
from skactivekd.encoders import _open_clip as encoders
from skactivekd.encoders._base import encode_rows
from skactivekd.encoders._open_clip_models import check_preprocess
from skactivekd.encoders._open_clip_preprocess import Preparation
from skactivekd.encoders._read_image import open_image


class Rows(torch.utils.data.Dataset):
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, row):
        return self.images[row], row


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.RandomState(0)
    made = [str(folder / f"{row}.png") for row in range(10)]
    for row, path in enumerate(made):
        pixels = random.randint(256, size=(30 + row, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return made


def test_batches_are_read_ahead_and_embedded_alike(tiny_clip, paths, monkeypatch):
    plain = OpenCLIPEncoder(tiny_clip.directory, batch_size=3, n_workers=0, cache=EmbeddingCache())
    expected = encode_rows(plain, paths)
    begun = []
    original = encoders.AheadList

    def noted(X, *args):
        begun.append(len(X))
        return original(X, *args)

    monkeypatch.setattr(encoders, "AheadList", noted)
    ahead = OpenCLIPEncoder(tiny_clip.directory, batch_size=3, n_workers=2, cache=EmbeddingCache())
    np.testing.assert_allclose(encode_rows(ahead, paths), expected, atol=1e-6)
    assert begun == [3, 3, 1]  # all batches but the first


def test_bad_files_of_all_batches_are_named(tiny_clip, paths, tmp_path):
    bad = [*paths]
    for row in (4, 9):
        bad[row] = str(tmp_path / f"{row}.png")
        (tmp_path / f"{row}.png").write_bytes(b"no picture")
    encoder = OpenCLIPEncoder(
        tiny_clip.directory, batch_size=3, n_workers=2, cache=EmbeddingCache()
    )
    with pytest.raises(ImageError) as caught:
        encode_rows(encoder, bad)
    assert set(caught.value.bad) == {4, 9}


@pytest.mark.parametrize("batch_size", [3, 64])
@pytest.mark.parametrize("cache", [False, None])
def test_data_sets_are_encoded_as_lists_are(tiny_clip, paths, batch_size, cache):
    cache = cache if cache is False else EmbeddingCache()
    encoder = OpenCLIPEncoder(tiny_clip.directory, batch_size=batch_size, cache=cache)
    expected = encode_rows(encoder, paths)
    images = [open_image(path) for path in paths]
    tensors = [torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in images]
    for rows in (Rows(images), Rows(tensors), [f"file://{path}" for path in paths]):
        np.testing.assert_allclose(encode_rows(encoder, rows), expected, atol=1e-6)


def _prepared(preparation, images, device):
    return preparation.to_model([preparation(i) for i in images], device, torch.float32).cpu()


def test_preparation_is_that_of_open_clip(tiny_clip, paths):
    _, transform, device = OpenCLIPEncoder(tiny_clip.directory)._load_model()
    random = np.random.RandomState(0)
    photos = [random.randint(256, size=(h, w, 3), dtype=np.uint8) for h, w in [(256, 300)] * 3]
    small, photos = [open_image(path) for path in paths], [Image.fromarray(x) for x in photos]
    for resizer, images, same in [
        ("pil", [*small, *photos], True),
        ("auto", small, True),
        ("auto", [Image.new("RGB", (5000, 16), (5, 99, 200))], True),  # no side is made smaller
        ("auto", photos, False),
        ("torch", [*small, *photos], False),
    ]:
        preparation = Preparation(transform, resizer)
        found = preparation.to_model([preparation(i) for i in images], device, torch.float32).cpu()
        expected = torch.stack([transform(image) for image in images])
        assert torch.equal(found, expected) == same, resizer
        std = torch.tensor(tiny_clip.preprocess["std"]).view(-1, 1, 1)
        difference = (found - expected).abs() * std  # of pixels in [0, 1]
        assert difference.max() < 1.01 / 255
        assert difference.mean() < 1e-4


def test_files_are_encoded_on_threads_that_do_not_wait_for_each_other(
    tiny_clip, paths, monkeypatch
):
    counts, before = [], torch.get_num_threads()
    original = _open_clip_preprocess.forward_parts

    def noted(forward, batch):
        def counted(part):
            counts.append((len(part), torch.get_num_threads()))
            return forward(part)

        return original(counted, batch)

    monkeypatch.setattr(_open_clip_preprocess, "forward_parts", noted)
    encoder = OpenCLIPEncoder(tiny_clip.directory, batch_size=10, n_workers=2, device="cpu")
    try:
        torch.set_num_threads(2)
        found = encoder.encode_image(paths)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert counts == [(5, 1), (5, 1)]
    expected = encoder.set_params(n_workers=0).encode_image(paths)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_resizer_is_part_of_what_the_embeddings_depend_on(tiny_clip, paths):
    plain, fast = (
        OpenCLIPEncoder(tiny_clip.directory, preprocess=preprocess)
        for preprocess in ({"resizer": "pil"}, {"resizer": "torch"})
    )
    assert plain.fingerprint() != fast.fingerprint()
    np.testing.assert_allclose(fast.encode_image(paths), plain.encode_image(paths), atol=1e-2)
    with pytest.raises(ValueError, match="resizer"):
        check_preprocess({"resizer": "opencv"}, "fp32")
