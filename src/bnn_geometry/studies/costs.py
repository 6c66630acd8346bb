"""What each kind of run was seen to take on this machine, kept between calls."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bnn_geometry import storage


@dataclass(frozen=True)
class Cost:
    """Seconds of an epoch, and once for the whole run."""

    epoch: float
    once: float


@dataclass
class Costs:
    """Costs by the kind of run, and the epochs with which runs that share them were begun.

    Attributes
    ----------
    file : Path
        Where it is kept.
    device : str
        What it was seen on; on another one it counts no more.
    epochs : int, optional
        None: not yet begun.
    kinds : dict of str to Cost
    """

    file: Path
    device: str
    epochs: int | None = None
    kinds: dict[str, Cost] = field(default_factory=dict)

    def read(self) -> None:
        """What is in the file, if there is one.

        Raises
        ------
        UserError
            If it holds something else.
        """
        if not self.file.is_file():
            return
        remedy = f"Remove {self.file.name} there."
        with storage.reading(self.file.parent, "plans", remedy=remedy):
            values = json.loads(self.file.read_text(encoding="utf-8"))
            self.epochs = values["epochs"]
            if values["device"] == self.device:
                self.kinds = {kind: Cost(**cost) for kind, cost in values["kinds"].items()}

    def write(self) -> None:
        """Write the file, whole or not at all."""
        kinds = {kind: asdict(cost) for kind, cost in self.kinds.items()}
        values = {"device": self.device, "epochs": self.epochs, "kinds": kinds}
        storage.write_file(self.file, json.dumps(values, indent=2) + "\n")

    def learn(self, kind: str, spent: float, epochs: int) -> None:
        """From a run that ended: its kind takes what it took, others as much longer if it did.

        Parameters
        ----------
        kind : str
        spent : float
            Seconds for all of it.
        epochs : int
            That were trained in them.
        """
        cost = self.kinds[kind]
        slower = spent / (cost.once + cost.epoch * epochs)
        for name, other in self.kinds.items():
            factor = slower if name == kind else max(1.0, slower)
            self.kinds[name] = Cost(other.epoch * factor, other.once * factor)
