"""Write tests/notebooks from the chapters: executed at preset ``smoke``, with text outputs.

Run it after a chapter has changed, look at what changed in the numbers, and commit both::

    make notebooks              # or: python tools/make_notebooks.py [CHAPTER ...]

The notebooks are made under the conditions in which the tests run them: on the stand-in images, in
float32 and on one thread, so that a machine with other data or more cores gets the same numbers.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from notebooks_under_test import CHAPTERS, NOTEBOOKS, PARAMETERS, as_reference, pin  # noqa: E402


def main(names: list[str]) -> int:
    """Regenerate the named chapters' notebooks and those that read the ledger, or all."""
    with tempfile.TemporaryDirectory() as scratch:
        pin(Path(scratch))
        # imported late: torch reads the number of threads when it is loaded
        import nbformat

        from bnn_geometry import storage
        from bnn_geometry.training.environment import chapter_environment
        from sphinx_papermill import chapter as chapters
        from sphinx_papermill import worker

        book = {
            path.stem: chapters.load(path.stem, path, kinds=("data", "runs"), parameters=PARAMETERS)
            for path in CHAPTERS
        }
        # each after what it builds on: the ledger reads the notebooks of the others
        for chapter in chapters.in_order(book):
            if names and chapter.name not in [*names, "claims", "index"]:
                continue
            executed = Path(scratch) / f"{chapter.name}.ipynb"
            outcome = worker.start(
                chapter.path,
                executed,
                parameters=chapter.parameters,
                cwd=chapter.path.parent,
                timeout=600,
                environment=chapter_environment(),
            ).outcome()
            if not outcome.ok:
                print(f"{chapter.name}: {outcome.error}", file=sys.stderr)
                return 1
            target = NOTEBOOKS / f"{chapter.name}.ipynb"
            reference = as_reference(nbformat.read(executed, as_version=4))
            storage.write_file(target, nbformat.writes(reference) + "\n")
            print(f"{target.relative_to(ROOT)}: {outcome.cells} cells in {outcome.seconds:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
