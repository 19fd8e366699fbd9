"""The command line, killed in the middle: what was done is done, and the same command goes on."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from cli_tools import fake_page, run
from PIL import Image

from skactivekd import OpenCLIPEncoder

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")

N = 96
ARGUMENTS = ["d", "--classes", "0,1,2,3,4,5,6,7,8,9", "--teacher", "glyph"]
# The page is none here; the teacher is slow, and notes which rows it was asked for.
PROGRAM = """
import sys, time
sys.path.insert(0, sys.argv[1])
import pytest
from cli_tools import fake_page, run
from skactivekd.cli import _open_session
from skactivekd.encoders import OpenCLIPEncoder
from skactivekd.utils import _progress_bar

_progress_bar._SELDOM = 0.1  # as on a screen
embed = OpenCLIPEncoder._embed_image

def slowly(self, X, n):
    with open(sys.argv[2], "a") as file:
        file.writelines(f"{path}\\n" for path in X)
    time.sleep(0.25)
    return embed(self, X, n)

OpenCLIPEncoder._embed_image = slowly
make = _open_session.make_encoder
_open_session.make_encoder = lambda *args: make(*args).set_params(batch_size=8)
fake_page(pytest.MonkeyPatch())
sys.exit(run(["label", *sys.argv[3:]]))
"""


def start(log):
    argv = [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), str(log), *ARGUMENTS]
    return subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)


def rows_kept(path):
    """How many images an embedding file holds, or 0 where there is none yet."""
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path, timeout=30)) as db:
        try:
            query = "SELECT coalesce(sum(n), 0) FROM batch JOIN owner ON owner.id = batch.owner "
            return db.execute(f"{query} WHERE name LIKE '%encode_image%'").fetchone()[0]
        except sqlite3.OperationalError:  # it is just being made
            return 0


def asked(log):
    return log.read_text().splitlines() if log.exists() else []


@pytest.mark.thorough
def test_a_teacher_that_was_killed_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("d").mkdir()
    rng = np.random.default_rng(0)
    for number in range(N):
        pixels = rng.integers(256, size=(8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(f"d/{number}.png")
    store = Path("d-project/embeddings.sqlite")
    with start(Path("first")) as process:
        deadline = time.monotonic() + 120
        while rows_kept(store) < 24:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    kept, first = rows_kept(store), asked(Path("first"))
    assert 24 <= kept < N
    with start(Path("second")) as process:
        said = process.communicate(timeout=120)[1]
    assert process.returncode == 0
    second = asked(Path("second"))
    assert len(second) == len(set(second)) == N - kept  # what was kept is not asked for again
    assert len({*first, *second}) == N
    assert f"{N - kept}/{N - kept}" in said  # the bar tells what was left
    calls = fake_page(monkeypatch)
    monkeypatch.setattr(OpenCLIPEncoder, "_embed_image", None)  # nothing is left to ask
    assert run(["label", *ARGUMENTS]) == 0
    assert len(calls) == 1
    assert "Encoding" not in capsys.readouterr().err
