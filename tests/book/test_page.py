"""What the chapters' notes become on a page."""

from bnn_geometry.book import page


def test_a_note_for_the_ledger_leaves_no_trace_and_does_not_hide_the_figures_own():
    figure = {"output_type": "display_data", "data": {}, "metadata": {"bnn_geometry": {"image": 1}}}
    note = {"output_type": "display_data", "data": {}, "metadata": {"bnn_geometry": {"claim": 2}}}
    plain = {"output_type": "stream", "text": "x"}
    cell = {"cell_type": "code", "metadata": {}, "source": "", "outputs": [figure, note, plain]}
    prose = {"cell_type": "markdown", "metadata": {}, "source": "words"}
    made = page.place_notes({"cells": [prose, cell], "metadata": {}})
    assert made["cells"] == [prose, cell]
    assert cell["outputs"] == [figure, plain]
    assert cell["metadata"]["mystnb"] == {"image": 1}
