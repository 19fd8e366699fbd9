"""Real sounds, a real teacher: letters and syllables spoken in 20 languages, one voice each.

    apt-get install klettres-data
    pip install --no-deps --target voices resemblyzer   # its weights are wanted, not its code
    python benchmarks/sounds.py --weights voices/resemblyzer/pretrained.pt --out results/sounds.md

No package ships weights of CLAP, so that there is no zero-shot teacher of sounds here. The encoder
is a voice encoder (an LSTM that was trained to tell speakers apart), and a few-shot teacher, a
logistic regression on its embeddings, learns from the same few labels as the student, which hears
log-mel pictures and is deployed alone.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from skactivekd import DHOClassifier, DHONet, LabeledOnly
from skactivekd.encoders import Encoder, LogMel
from skactivekd.encoders._read_sound import read_sound

RATE, FRAMES = 16000, 160  # what the weights were trained on: 1.6 s in steps of 10 ms
FILTERS = mel_filter_bank(201, 40, 0, RATE / 2, RATE, norm="slaney", mel_scale="slaney")


class VoiceEncoder(Encoder):
    """The published voice encoder of GE2E, from its weights alone."""

    def __init__(self, weights, on_error="raise", batch_size=64, cache=None):
        self.weights = weights
        self.on_error, self.batch_size, self.cache = on_error, batch_size, cache

    def encode_audio(self, X):
        """Embed files."""
        return self._encode("encode_audio", X)

    def _embed_audio(self, X, run):
        if run.model is None:
            run.model = load_voices(self.weights)
        with torch.inference_mode():
            return run.model(
                torch.tensor(np.stack([to_mel(read_sound(x, RATE)) for x in X]))
            ).numpy(), {}

    def _identity(self, params, run):
        return "voices", Path(self.weights).stat().st_size


def load_voices(path):
    """Build the network: three layers of an LSTM, one linear one."""
    state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
    lstm, linear = torch.nn.LSTM(40, 256, 3, batch_first=True), torch.nn.Linear(256, 256)
    for part, name in ((lstm, "lstm."), (linear, "linear.")):
        part.load_state_dict({k.removeprefix(name): v for k, v in state.items() if name in k})
    return lambda mels: linear(lstm(mels)[1][0][-1]).relu()


def to_mel(samples):
    """Bring a sound to -30 dB and 1.6 s, and return its mel spectrum (frames, 40)."""
    samples = samples * 10 ** (-30 / 20) / max(np.sqrt(np.mean(samples**2)), 1e-6)
    samples = np.resize(samples, FRAMES * 160)[: FRAMES * 160]  # short ones again and again
    window = window_function(400, "hann")
    power = {"frame_length": 400, "hop_length": 160, "power": 2.0, "mel_filters": FILTERS}
    return spectrogram(samples, window, **power).T[:FRAMES].astype(np.float32)


def find(folder):
    """Return the files of sounds, and their languages."""
    paths = sorted(Path(folder).glob("*/*/*.ogg"))
    return [str(path) for path in paths], np.array([path.parts[-3] for path in paths])


def measure(X, rows, y, n_per_class, seed, steps):
    """Return the accuracies of teacher, student and the student without a teacher."""
    pool, test = train_test_split(np.arange(len(y)), test_size=0.4, stratify=y, random_state=seed)
    rng, known = np.random.default_rng(seed), np.full(len(pool), "", dtype=object)
    for label in np.unique(y):
        places = rng.permutation(np.flatnonzero(y[pool] == label))[:n_per_class]
        known[places] = label
    few_shot = LabeledOnly(LogisticRegression(C=100.0), missing_label="").fit(rows[pool], known)
    classes = np.unique(y).tolist()
    net = DHONet(max_epochs=steps * 128 // len(pool) + 1)
    student = DHOClassifier(net, classes=classes, missing_label="", random_state=0)
    found = {"teacher": np.mean(few_shot.predict(rows[test]) == y[test])}
    if not steps:
        return found
    for name, proba in (
        ("student with teacher", few_shot.predict_proba(rows[pool])),
        ("student, labels alone", None),
    ):
        student.fit(X[pool], known, teacher_proba=proba)
        found[name] = np.mean(student.predict(X[test]) == y[test])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sounds", default="/usr/share/klettres")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=600, help="0: the teacher alone")
    parser.add_argument("--out")
    options = parser.parse_args()
    sounds, y = find(options.sounds)
    rows = VoiceEncoder(options.weights).encode_audio(sounds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of longer sounds the middle is taken
        ears = LogMel(rate=RATE, n_mels=32, seconds=0.64)
        X = ears.fit_transform(sounds) if options.steps else np.zeros((len(y), 0))
    print(f"{len(y)} sounds, {len(np.unique(y))} classes, pictures of {X.shape[1:]}", flush=True)
    found = []
    for n_per_class in (1, 2, 5):
        for seed in range(options.seeds):
            scores = measure(X, rows, y, n_per_class, seed, options.steps)
            found.append({"labels per class": n_per_class, "seed": seed, **scores})
            print(found[-1], flush=True)
    table = pd.DataFrame(found).drop(columns="seed").groupby("labels per class")
    mean, std = 100 * table.mean(), 100 * table.std().fillna(0)
    text = mean.round(1).astype(str) + " (" + std.round(1).astype(str) + ")"
    print(text.to_string())
    if options.out:
        head = (
            f"# Real sounds\n\n{len(y)} letters and syllables spoken in {len(np.unique(y))} "
            f"languages, one voice each\n(Debian's klettres-data), {options.seeds} seeds, accuracy "
            "in per cent on 40 % of them, mean (standard deviation).\nThe voice encoder's weights "
            "are those of Resemblyzer 0.1.4. Made by `benchmarks/sounds.py`.\n\n"
        )
        Path(options.out).write_text(head + text.reset_index().to_markdown(index=False) + "\n")


if __name__ == "__main__":
    main()
