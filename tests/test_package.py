"""What `import skactivekd` brings, and what the installed files say."""

import pkgutil
import subprocess
import sys
from importlib.metadata import version

import pytest

import skactivekd


def test_import_is_light():
    script = (
        "import sys, skactivekd; heavy = {'torch', 'open_clip', 'matplotlib', 'modAL', 'sklearn',"
        "'pandas'}; print(heavy & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert result.stdout.decode().strip() == "set()"


@pytest.mark.parametrize("name", skactivekd.__all__)
def test_public_names_exist_and_are_documented(name):
    assert getattr(skactivekd, name).__doc__


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match=r"no attribute 'PCoreSett'$"):
        skactivekd.PCoreSett  # noqa: B018


@pytest.mark.parametrize("name", sorted(skactivekd._ELSEWHERE))
def test_the_error_says_where_a_name_of_research_is(name):
    home = skactivekd._ELSEWHERE[name]
    with pytest.raises(AttributeError, match=f"it is in skactivekd.{home}"):
        getattr(skactivekd, name)
    assert name in getattr(skactivekd, home).__all__


@pytest.mark.parametrize("name", sorted(skactivekd._HOME))
def test_names_come_from_a_public_place(name):
    home = getattr(skactivekd, skactivekd._HOME[name])
    assert name in home.__all__
    assert getattr(skactivekd, name) is getattr(home, name)


def test_subpackages_are_those_of_the_folder():
    found = {module.name for module in pkgutil.iter_modules(skactivekd.__path__)}
    commands = {"cli", "demo"}
    assert {name for name in found if not name.startswith("_")} - commands == set(
        skactivekd._SUBPACKAGES
    )


def test_dir_and_version():
    assert set(dir(skactivekd)) == {*skactivekd.__all__, *skactivekd._SUBPACKAGES}
    assert skactivekd.__version__ == version("skactivekd")


def test_subpackages_load_on_first_use():
    script = "import skactivekd; print(skactivekd.query.Margin.__name__)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert result.stdout.decode().strip() == "Margin"
