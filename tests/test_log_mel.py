"""Pictures of sounds: what they show, and students that learn from them."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from skactivekd import DHOClassifier, DHONet, TeacherProba, load, save
from skactivekd.encoders import LogMel, RowError, SkippedRowsWarning
from skactivekd.encoders._log_mel import mel_bank

RATE = 8000


def tone(pitch, seconds=0.5, level=1.0, rate=RATE):
    return level * np.sin(2 * np.pi * pitch * np.arange(int(seconds * rate)) / rate), rate


def make(**params):
    return LogMel(**{"rate": RATE, "n_mels": 32, "seconds": 0.5, **params})


def test_a_tone_is_a_line_at_its_pitch_and_level():
    pictures = make().fit_transform([tone(400), tone(2000), tone(400, level=0.01)])
    assert pictures.shape == (3, 32, 25)
    assert pictures.dtype == np.float32
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    bank = mel_bank(RATE, 32)
    pitches = np.fft.rfftfreq(2 * (bank.shape[1] - 1), 1 / RATE)
    tops = pitches[bank.argmax(axis=1)]
    for picture, pitch in zip(pictures, (400, 2000, 400), strict=True):
        line = picture[:, 5:20].mean(axis=1).argmax()
        assert abs(tops[line] - pitch) < 0.1 * pitch
    # Full scale is 1 where a band has its top at the pitch; a hundredth of it is 40 dB less.
    middle = pictures[:, :, 5:20].mean(axis=2).max(axis=1)
    assert 0.95 < middle[0] <= 1.0
    assert middle[0] - middle[2] == pytest.approx(40 / 80, abs=0.01)


def test_lengths_and_rates_are_brought_to_one():
    short, exact = make().transform([tone(400, 0.25), tone(400, 0.5)])
    np.testing.assert_allclose(short[:, :10], exact[:, :10], atol=1e-3)
    assert short[:, 16:].max() == 0  # silence
    slow, fast = make().transform([tone(400), tone(400, rate=16000)])
    assert np.abs(slow - fast)[:, 5:20].mean() < 0.05
    with pytest.warns(UserWarning, match=r"1 sounds are longer than seconds=0.5 .* in row 1"):
        both = make().transform([tone(400), tone(400, 1.0)])
    assert both.shape == (2, 32, 25)
    assert clone(make()).transform([tone(400)]).shape == (1, 32, 25)


def test_bad_sounds_are_named_or_silent(tmp_path):
    X = [tone(400), str(tmp_path / "gone.wav"), (np.full(9, np.nan), RATE), tone(500)]
    with pytest.raises(RowError, match=r"(?s)2 rows cannot.*row 1: .*no such file.*row 2: .*nan"):
        make().transform(X)
    with pytest.warns(SkippedRowsWarning, match="2 sounds skipped"):
        pictures = make(on_error="skip").transform(X)
    assert (pictures.max(axis=(1, 2)) > 0).tolist() == [True, False, False, True]
    with pytest.raises(RowError, match="samples without a rate"):
        make().transform([np.zeros(900)])
    np.testing.assert_array_equal(
        make(sampling_rate=RATE).transform(np.stack([tone(400)[0]])), make().transform([tone(400)])
    )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"rate": 100}, "rate"),
        ({"rate": 8000.5}, "rate"),
        ({"n_mels": 0}, "n_mels"),
        ({"n_mels": 400}, "n_mels=400 are more than the spectrum at rate=8000 tells apart"),
        ({"seconds": 0}, "seconds"),
        ({"seconds": 1e6}, "seconds=1000000.0 must be at most 600"),
        ({"on_error": "ignore"}, "on_error"),
    ],
)
def test_wrong_settings_are_refused(params, message):
    for call in ("fit", "transform"):
        with pytest.raises((ValueError, TypeError), match=message):
            getattr(make(**params), call)([tone(400)])


def test_a_student_hears_and_is_saved_with_its_ears(tmp_path):
    pytest.importorskip("skops")
    X = [tone(400 + 5 * i) for i in range(6)] + [tone(1500 + 5 * i) for i in range(6)]
    soft = np.repeat([[0.9, 0.1], [0.1, 0.9]], 6, axis=0)
    y = np.full(12, -1)
    y[[0, 6]] = 0, 1
    student = DHOClassifier(DHONet(max_epochs=10), random_state=0)
    pipe = make_pipeline(TeacherProba(soft, features=make(n_mels=16)), student).fit(X, y)
    assert pipe.predict(X).tolist() == [0] * 6 + [1] * 6
    save(pipe, tmp_path / "student")
    loaded = load(tmp_path / "student")
    np.testing.assert_allclose(loaded.predict_proba(X), pipe.predict_proba(X), atol=1e-6)
