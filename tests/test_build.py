"""The wheel: it installs and works where there is NumPy alone and no compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import logloss

EXTRAS = {
    "logloss.fit": "tables",
    "logloss.NetworkClassifier": "torch",
    "logloss.plot_loss()": "plot",
    "import logloss.torch": "torch",
    "import logloss.jax": "jax",
}


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel of the checkout as pip builds it for anyone."""
    place = tmp_path_factory.mktemp("wheel")
    pins = root / "constraints" / "ci.txt"
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", root]
    command += ["--build-constraint", pins, "--config-settings", f"build-dir={place / 'objects'}"]
    # by name, for the build would else want the compiler that built Python
    compiler = next(filter(shutil.which, ("c++", "g++", "clang++", "cl")))
    environment = {"CXX": compiler, **os.environ}
    subprocess.run([*command, "--wheel-dir", place], check=True, env=environment)
    (built,) = place.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def bare(root: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install it with NumPy alone, no compiler on the path; return the folder of programs."""
    place = tmp_path_factory.mktemp("bare")
    venv.create(place, with_pip=False)
    programs = place / ("Scripts" if os.name == "nt" else "bin")
    pins = root / "constraints" / "ci.txt"
    command = [sys.executable, "-m", "pip", "--python", programs / "python", "install", "--quiet"]
    subprocess.run([*command, "--constraint", pins, wheel], check=True, env=alone(programs))
    return programs


def alone(programs: Path) -> dict[str, str]:
    """Return this environment with nothing on the path but the new one's programs."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COV"))
    }
    return {**kept, "PATH": str(programs)}


def run(programs: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [programs / command[0], *command[1:]],
        capture_output=True,
        text=True,
        check=False,
        env=alone(programs),
        cwd=programs,
    )


def test_the_wheel_holds_types_licence_and_core_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "logloss/py.typed" in names
    assert any(name.startswith("logloss/_core.") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"logloss"}
    assert not [name for name in names if name.endswith((".cpp", ".hpp", ".o", ".pyc"))]


def test_a_loss_needs_numpy_alone(bare):
    code = "import logloss; print(logloss.binary_cross_entropy([0, 1], [0.5, 0.5]).hex())"
    done = run(bare, "python", "-W", "error", "-c", code)
    assert (done.stdout, done.stderr) == ("0x1.62e42fefa39efp-1\n", "")


def test_import_loads_nothing_beyond_numpy(bare):
    code = (
        "import sys, numpy; before = set(sys.modules); import logloss; logloss.sigmoid(0.0);"
        "new = {name.split('.')[0] for name in set(sys.modules) - before};"
        "print(sorted(new - {'numpy'} - sys.stdlib_module_names))"
    )
    assert run(bare, "python", "-c", code).stdout == "['logloss']\n"


def test_import_does_not_look_the_version_up(bare):
    code = (
        "import sys, numpy; before = set(sys.modules); import logloss;"
        "print('importlib.metadata' in set(sys.modules) - before, logloss.__version__)"
    )
    assert run(bare, "python", "-c", code).stdout == f"False {logloss.__version__}\n"


@pytest.mark.parametrize("name", EXTRAS)
def test_a_name_whose_extra_is_missing_says_which(name, bare):
    code = f"import logloss\ntry: {name}\nexcept ImportError as error: print(repr(error))"
    said = run(bare, "python", "-c", code).stdout
    assert said.startswith("MissingExtraError(")
    assert f"[{EXTRAS[name]}]" in said


def test_the_bare_command_says_which_extra_it_needs(bare):
    done = run(bare, "logloss", "--help")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("logloss: error: the command line needs typer")
    assert "[tables]" in done.stderr
    assert done.stderr.count("\n") == 1
