"""The command line, end to end on a small budget."""

import sys

import pytest

import skactivekd
from skactivekd import demo
from skactivekd.cli import main

SIMULATE, LOAD = demo.simulate, demo.load_glyph_digits
SMALL = {"n_rounds": 2, "n_jobs": 1, "progress": False}


def test_demo_prints_the_table_and_writes_the_plot(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        demo, "simulate", lambda *args, **kwargs: SIMULATE(*args, **{**kwargs, **SMALL})
    )
    monkeypatch.setattr(
        demo, "load_glyph_digits", lambda **kwargs: [part[:300] for part in LOAD(**kwargs)]
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    out = tmp_path / "new" / "folder" / "plot.png"
    main(["demo", "--out", "~/new/folder/plot", "--seeds", "1"])
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


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.strip() == f"skactivekd {skactivekd.__version__}"


@pytest.fixture
def _never_played(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("played")

    monkeypatch.setattr(demo, "simulate", fail)
    monkeypatch.setattr(demo, "load_glyph_digits", fail)


@pytest.mark.usefixtures("_never_played")
@pytest.mark.parametrize("seeds", ["0", "-3", "x", "1.5", ""])
def test_seeds_that_are_none_are_refused_at_once(seeds, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["demo", f"--seeds={seeds}"])
    assert stop.value.code == 2
    assert f"argument --seeds: {seeds!r} is no whole number" in capsys.readouterr().err


@pytest.mark.usefixtures("_never_played")
@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("", "is a folder"),
        ("folder", "is a folder; name a file in it"),
        ("plot.xyz", "plot.xyz ends in none of"),
        ("file/plot.png", "cannot be written"),
        ("folder/plot.png", "cannot be written"),
    ],
)
def test_a_plot_that_cannot_be_written_is_refused_at_once(
    tmp_path, monkeypatch, out, message, capsys
):
    (tmp_path / "folder" / "plot.png").mkdir(parents=True)
    (tmp_path / "folder" / "plot.png" / "inside").touch()
    (tmp_path / "file").touch()
    if out == "folder/plot.png":  # for whoever runs as root, no mode forbids anything
        real = demo.Path.open

        def refuse(path, mode="r", **kwargs):
            if "a" in mode:
                raise PermissionError(13, "Permission denied", str(path))
            return real(path, mode, **kwargs)

        monkeypatch.setattr(demo.Path, "open", refuse)
        out = "folder/other.png"
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--out", str(tmp_path / out)])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert "argument --out: " in error
    assert message in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.usefixtures("_never_played")
def test_a_missing_matplotlib_is_said_at_once(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.backend_bases", None)
    with pytest.raises(SystemExit):
        main(["demo"])
    assert "pip install skactivekd[plots]" in capsys.readouterr().err


@pytest.mark.usefixtures("_never_played")
def test_the_function_says_it_too(tmp_path):
    with pytest.raises(ValueError, match="seeds must be at least 1, got 0"):
        demo.run_demo(tmp_path / "plot.png", seeds=0)
    with pytest.raises(ValueError, match="ends in none of"):
        demo.run_demo(tmp_path / "plot.xyz")
    assert not list(tmp_path.iterdir())


def test_a_plot_that_is_there_is_kept_until_it_is_replaced(tmp_path):
    (tmp_path / "plot.svg").write_text("mine")
    assert demo.find_plot(tmp_path / "plot.svg") == tmp_path / "plot.svg"
    assert (tmp_path / "plot.svg").read_text() == "mine"
