"""The animated flow: moves only when asked, asks nobody, and shows the flow that it is given."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from bs4 import BeautifulSoup

from bnn_geometry.book import animation
from bnn_geometry.geometry import flows, losses

ALT = "A dot moves to the right edge of a square and then trembles about the axis."


def flow(steps=12, **options):
    return flows.flow(
        losses.COSINE,
        [3.0, 1.0],
        [-0.8, -0.6],
        np.full(steps, 0.2),
        **{"keep_path": True} | options,
    )


def made(**options):
    given = {"target": [3.0, 1.0], "name": "a-flow", "alt": ALT} | options
    return animation.flow_in_the_plane(flow(), **given)


def keyframes(page, part):
    body = re.search(rf"@keyframes a-flow-{part}{{(.*?\)}})}}", page)[1]
    found = re.findall(r"([\d.]+)%{transform:translate\(([-\d.]+)px,([-\d.]+)px\)}", body)
    return np.array(found, dtype=float)


def test_keyframes_are_the_flow():
    page, path = made(), flow().path[:, 0]
    latent = keyframes(page, "latent")
    np.testing.assert_allclose(latent[:, 0], np.linspace(0, 100, 13), atol=0.01)
    np.testing.assert_allclose(latent[:, 1:] * [1, -1], path, atol=6e-4)  # y points down
    outputs = np.where(path > 0, 1, -1)
    np.testing.assert_allclose(keyframes(page, "output")[:, 1:] * [1, -1], outputs)
    mean = keyframes(page, "mean")[:, 1:] * [1, -1]
    np.testing.assert_allclose(mean[0], outputs[0])
    np.testing.assert_allclose(mean[-1], outputs.mean(axis=0), atol=6e-4)


def test_nothing_moves_until_the_box_is_ticked():
    page = made()
    assert page.count("infinite paused") == 3
    assert "#a-flow input:checked~svg *{animation-play-state:running}" in page
    soup = BeautifulSoup(page, "html.parser")
    box = soup.find("input")
    assert box["type"] == "checkbox"
    assert not box.has_attr("checked")
    assert soup.find("label")["for"] == box["id"]
    assert soup.find("svg")["aria-label"] == ALT
    assert not soup.find_all(["script", "img", "link", "iframe"])
    assert "//" not in page


def test_what_is_drawn_in_black_takes_the_colour_of_the_text():
    page = made()
    assert not re.search("black|white|#000|#fff", page)
    assert page.count("currentColor") == 2
    assert '[data-theme="dark"] .bd-content div.cell_output .text_html:has(>#a-flow){back' in page


def test_a_page_with_it_passes_the_check_of_pages():
    spec = importlib.util.spec_from_file_location(
        "check_pages", Path(__file__).parents[2] / "tools" / "check_pages.py"
    )
    checks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(checks)
    assert checks.complaints(f"<html><body><article>{made()}</article></body></html>") == []


def test_descriptions_are_escaped():
    assert 'aria-label="&quot;u&quot; &lt; 0 &amp; more"' in made(alt='"u" < 0 & more')


@pytest.mark.parametrize("name", ["", "A", "1a", "a b", "a}b"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(ValueError, match="no name"):
        made(name=name)


def test_other_flows_and_missing_descriptions_are_refused():
    with pytest.raises(ValueError, match="description"):
        made(alt=" ")
    three = flows.flow(losses.COSINE, [3, 1, 1], [1, 1, 1], [0.1], keep_path=True)
    for other in (flow(keep_path=False), three):
        with pytest.raises(ValueError, match="one row in two dimensions"):
            animation.flow_in_the_plane(other, target=[3, 1], name="a", alt=ALT)


def test_show_gives_page_and_text(monkeypatch):
    shown = []
    monkeypatch.setattr(animation, "display", lambda data, raw: shown.append((data, raw)))
    animation.show(flow(), target=[3, 1], name="a-flow", alt=ALT)
    ((data, raw),) = shown
    assert raw
    assert data == {"text/html": made(), "text/plain": f"Animation: {ALT}"}
