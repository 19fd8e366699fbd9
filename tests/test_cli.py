"""The command line, end to end on a small budget."""

import pytest

from skactivekd import demo
from skactivekd.cli import main


def test_demo_prints_the_table_and_writes_the_plot(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        demo, "simulate", lambda *args, **kwargs: SIMULATE(*args, **{**kwargs, **SMALL})
    )
    out = tmp_path / "plot.png"
    main(["demo", "--out", str(out), "--seeds", "1"])
    printed = capsys.readouterr().out
    assert out.read_bytes().startswith(b"\x89PNG")
    assert str(out) in printed
    for name in ("PCoreSet", "random", "no teacher", "with teacher", "Zero-shot teacher"):
        assert name in printed


def test_help_and_unknown_commands(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--help"])
    assert stop.value.code == 0
    assert "--seeds" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([])


SIMULATE = demo.simulate
SMALL = {"n_rounds": 2, "n_jobs": 1, "progress": False}
