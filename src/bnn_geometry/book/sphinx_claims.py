"""The role ``{claim}`` of Sphinx: a link from the sentence that makes a claim to its ledger row.

``{claim}`separation``` becomes a link to that row of the ledger; the first on a page is where the
row links back to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util.docutils import SphinxRole

from bnn_geometry.book.claims import load
from bnn_geometry.book.ledger_page import row_id, said_id
from bnn_geometry.paths import book_folder

if TYPE_CHECKING:
    from sphinx.application import Sphinx


class ClaimRole(SphinxRole):
    """A link to the row of a claim."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Of the claim whose id the text is."""
        claims = load()
        self.env.note_dependency(str(book_folder() / "claims.toml"))
        if self.text not in claims:
            known = ", ".join(claims)
            message = self.inliner.reporter.warning(
                f"There is no claim {self.text!r} in claims.toml; there is {known}.",
                line=self.lineno,
            )
            return [nodes.problematic(self.rawtext, self.rawtext)], [message]
        link = nodes.reference(
            self.rawtext,
            f"claim: {self.text}",
            refuri=f"claims.html#{row_id(self.text)}",
            reftitle=claims[self.text].short,
            internal=True,
            classes=["claim"],
        )
        document = self.inliner.document
        if said_id(self.text) not in document.ids:
            link["ids"].append(said_id(self.text))
            document.ids[said_id(self.text)] = link
        return [link], []


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the role."""
    app.add_role("claim", ClaimRole())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
