"""The names that the rooms offer."""

import importlib
import subprocess
import sys

import pytest

import bnn_geometry.networks
import bnn_geometry.probing


@pytest.mark.parametrize("room", [bnn_geometry.networks, bnn_geometry.probing])
def test_every_name_that_a_room_offers_is_there_and_is_no_module(room):
    assert set(room.__all__) <= set(dir(room))
    for name in room.__all__:
        offered = getattr(room, name)
        submodule = importlib.import_module(f"{room.__name__}.{room._NAMES[name]}")
        assert offered is getattr(submodule, name)
        assert type(offered) is not type(room)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = room.nothing


def test_importing_the_rooms_imports_no_torch():
    command = (
        "import sys, bnn_geometry.networks, bnn_geometry.probing; print('torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    assert said.stdout.strip() == "False", said.stderr
