"""The environment of what trains, and of a chapter's kernel."""

import joblib
import pytest

from bnn_geometry.training.environment import ENVIRONMENT, chapter_environment


@pytest.mark.parametrize(("cores", "threads"), [(1, "1"), (2, "1"), (3, "1"), (8, "4")])
def test_two_chapters_at_once_share_the_cores_and_one_alone_has_them_all(
    monkeypatch, cores, threads
):
    for name in (*ENVIRONMENT, "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(joblib, "cpu_count", lambda: cores)
    assert chapter_environment() == ENVIRONMENT | {"OMP_NUM_THREADS": threads}
    assert chapter_environment(alone=True)["OMP_NUM_THREADS"] == str(cores)


def test_what_the_user_has_set_stays(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert chapter_environment()["OMP_NUM_THREADS"] == "5"
    assert chapter_environment()["GOMP_SPINCOUNT"] == "7"
