"""Count how often each text is encoded while active learning is simulated on Banking77.

    python benchmarks/encode_once.py --banking77 DIR

Five rounds, three seeds and four strategies: 60 models, each taught by a CLAP teacher that is
fitted anew on the labels so far.
"""

import argparse
from collections import Counter
from pathlib import Path

import pandas as pd
from few_shot_teachers import banking77
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from skactivekd import (
    CLAPTeacher,
    CoreSet,
    DHOClassifier,
    DHONet,
    Entropy,
    PCoreSet,
    SentenceEncoder,
    TeacherProba,
    simulate,
)

ENCODED = Counter()


class CountingEncoder(SentenceEncoder):
    """MiniLM that remembers what it was given."""

    def encode_text(self, texts):
        ENCODED.update(texts)
        return super().encode_text(texts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--banking77", type=Path, required=True)
    folder = parser.parse_args().banking77
    train, test, y, y_test, settings = banking77(folder)
    encoder = settings["encoder"]
    settings["encoder"] = CountingEncoder(**encoder.get_params(deep=False))
    student = DHOClassifier(DHONet(max_epochs=20), classes=sorted(set(y)), missing_label=None)
    model = make_pipeline(
        TeacherProba(CLAPTeacher(**settings, max_epochs=30), TfidfVectorizer(max_features=1000)),
        student,
    )
    strategies = [cls(missing_label=None) for cls in (PCoreSet, CoreSet, Entropy)]
    results = simulate(
        model,
        train,
        y,
        X_test=test,
        y_test=y_test,
        strategies=strategies,
        n_rounds=5,
        n_instances=77,
        seeds=3,
        missing_label=None,
    )
    prompts = {settings["templates"].format(name) for name in settings["classes"].values()}
    known = pd.Series(ENCODED)
    print(f"{len(results)} models; {len(known)} texts encoded, {known.max()} time at most each")
    print(f"of the {len(set(train))} texts of the pool {len(set(train) & set(known.index))}")
    print(f"of the {len(set(test) - set(train))} of the test split alone", end=" ")
    print(len((set(test) - set(train)) & set(known.index)), f"(prompts: {len(prompts)})")


if __name__ == "__main__":
    main()
