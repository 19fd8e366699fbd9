"""UncertaintyHerding against the full greedy search of scikit-activeml's MaxHerding.

    python benchmarks/bench_herding.py

With ``power=0`` and features of no negative value both maximize the same coverage. Rows are 400
clusters of unequal size; 100 are labeled. The last line is a pool of which a part is a target.
"""

import numpy as np
from _measure import Memory, seconds
from skactiveml.pool import MaxHerding

from skactivekd import FromSkactiveml, UncertaintyHerding

N_PICKS, N_LABELED, N_FEATURES = 100, 100, 256


def clusters(n_rows, seed=0):
    """Draw rows around 400 means; the size of a cluster falls with its number."""
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((400, N_FEATURES), np.float32)
    shares = 1 / np.arange(1, 401)
    labels = rng.choice(400, n_rows, p=shares / shares.sum())
    return abs(means[labels] + rng.standard_normal((n_rows, N_FEATURES), np.float32))


def coverage(points, rows):
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    return np.mean((unit[rows] @ unit.T).max(axis=0))


def compare(n_rows):
    features = clusters(n_rows + N_LABELED)
    pool, labeled = features[N_LABELED:], features[:N_LABELED]
    proba = np.full((n_rows, 2), 0.5)
    ours = UncertaintyHerding(power=0, device="cpu")
    theirs = FromSkactiveml(MaxHerding(metric="cosine"), random_state=0)
    picks, memory, took = {}, {}, {}
    calls = {
        "ours": lambda: ours.select(
            proba, features_pool=pool, features_labeled=labeled, n_instances=N_PICKS
        ),
        "theirs": lambda: theirs.select(pool, labeled, N_PICKS),
    }
    for name, call in calls.items():
        with Memory() as used:
            took[name] = seconds(lambda name=name, call=call: picks.update({name: call()}))
        memory[name] = used.growth
    covered = {name: coverage(features, [*range(N_LABELED), *N_LABELED + rows])
               for name, rows in picks.items()}  # fmt: skip
    print(
        f"{n_rows} rows: time {took['ours'] / took['theirs']:.3f}, memory "
        f"{memory['ours']:.0f} against {memory['theirs']:.0f} MiB, the same "
        f"{len(set(picks['ours']) & set(picks['theirs']))} of {N_PICKS} picks, coverage "
        f"{covered['ours']:.5f} against {covered['theirs']:.5f}",
        flush=True,
    )


def large(n_rows):
    features = clusters(n_rows)
    proba = np.full((n_rows, 2), 0.5)
    strategy = UncertaintyHerding(power=0, random_state=0, device="cpu")
    with Memory() as used:
        whole = seconds(
            lambda: strategy.select(
                proba, features_pool=features, features_labeled=features[:100], n_instances=N_PICKS
            )
        )
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    one_pass = seconds(lambda: [unit[i : i + 256] @ unit[:16384].T for i in range(0, n_rows, 256)])
    print(
        f"{n_rows} rows, 16384 targets: {whole / one_pass:.1f} times one product with the targets,"
        f" {used.growth:.0f} MiB beside {features.nbytes / 2**20:.0f} of features"
    )


if __name__ == "__main__":
    for n_rows in (2000, 5000):
        compare(n_rows)
    large(200_000)
