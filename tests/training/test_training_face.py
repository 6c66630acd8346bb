"""The faces of the rooms training and data: every name is there, and none loads torch too early."""

import subprocess
import sys

import pytest

from bnn_geometry import data, training


@pytest.mark.parametrize("room", [data, training])
def test_every_name_is_there(room):
    for name in room.__all__:
        assert getattr(room, name) is not None
    assert set(room.__all__) <= set(dir(room))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        room.nothing  # noqa: B018


def test_recipes_load_no_torch():
    code = (
        "import sys; from bnn_geometry import data, training; training.recipe; data.describe\n"
        "print(sorted({'torch', 'pandas', 'scipy'} & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
