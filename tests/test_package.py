"""What `import skactivekd` brings, and what the installed files say."""

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
    with pytest.raises(AttributeError, match="no attribute 'PCoreSett'"):
        skactivekd.PCoreSett  # noqa: B018


def test_dir_and_version():
    assert set(skactivekd.__all__) == set(dir(skactivekd))
    assert skactivekd.__version__ == version("skactivekd")
