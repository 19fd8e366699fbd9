"""Let the lines of an older results file say which X and X_test they were scored on.

python -m benchmarks.evidence.migrate --banking77 DIR

Stores of `simulate` did not record the samples once. The tasks are loaded again, nothing is
fitted; a line is completed where the digest of its settings is what the config gives today.
"""

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

from skactivekd.simulation import _journal, _simulate
from skactivekd.utils._digest import digest, digest_rows

from . import run as runner
from ._threads import use_one_thread
from .run import CONFIGS, RESULTS


def main():
    arguments = parse_arguments()
    use_one_thread()
    settings = {}
    for path in sorted(CONFIGS.glob("*.toml")):
        settings.update(settings_of(path.stem, arguments.banking77))
    lines, counts = migrated(arguments.results.read_bytes(), settings)
    temporary = arguments.results.with_suffix(".migrated")
    temporary.write_bytes(lines)
    os.replace(temporary, arguments.results)
    for (task, outcome), n_lines in sorted(counts.items()):
        print(f"{task}: {n_lines} lines {outcome}")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--banking77", type=Path, help="folder with train.csv and test.csv")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


def settings_of(config, banking77=None):
    """Return what `simulate` would write today for each estimator and strategy of a config."""
    found = {}

    def note(estimators, X, y, **call):
        samples = digest(digest_rows(X), digest_rows(call["X_test"]))
        plan = (call["n_initial"], call["n_rounds"], call["n_instances"], -1, None)
        strategies = _simulate._with_random(call["strategies"], -1)
        found.update(_simulate._settings(estimators, strategies, y, call["y_test"], plan, samples))

    simulate, runner.simulate = runner.simulate, note
    try:
        runner.run(config, out=os.devnull, banking77=banking77)
    except ValueError as error:
        print(f"{config}: {error}", file=sys.stderr)
    finally:
        runner.simulate = simulate
    return found


def migrated(data, settings):
    """Complete the lines of a results file.

    Parameters
    ----------
    data : bytes
    settings : dict of (str, str) to str
        What `simulate` would write today, without checksum.

    Returns
    -------
    data : bytes
    counts : Counter of (str, str)
        Lines of each task with what became of them.
    """
    header, *lines = data.splitlines(keepends=True)
    done, counts = [header], Counter()
    for line in lines:
        run, number, finished, used = _journal._read_line(line)
        now = settings.get(run[:2], "unknown")
        outcome = "left as they were: their settings are not those of today"
        if used == now.partition("-")[0]:
            check = f"{now}-{_journal._checksum(run, number, finished, now)}"
            line = line.replace(f",{used},".encode(), f",{check},".encode())
            outcome = "completed"
        elif used.startswith(now):
            outcome = "complete before"
        done.append(line)
        counts[run[0].partition(",")[0], outcome] += 1
    return b"".join(done), counts


if __name__ == "__main__":
    main()
