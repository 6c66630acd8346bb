"""Which runs fit into a budget of time, in order of worth. Arithmetic alone: nothing is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """A training run, and what it costs.

    Attributes
    ----------
    name : str
    epochs : int
        In all.
    epoch : float
        Seconds that one takes.
    once : float
        Seconds besides: to begin, to measure, to write what is published.
    done : int
        Epochs that were trained already.
    least : int, optional
        Where all its epochs do not fit, as many as do, but no fewer than these.
    shared : bool
        It trains as many epochs as every other one that shares.
    after : str, optional
        It goes on from what this job leaves behind.
    """

    name: str
    epochs: int
    epoch: float
    once: float
    done: int = 0
    least: int | None = None
    shared: bool = False
    after: str | None = None

    def seconds(self, epochs: int) -> float:
        """What it takes from now on to have trained so many epochs."""
        return self.once + self.epoch * max(0, epochs - self.done)


@dataclass(frozen=True)
class Plan:
    """What :func:`plan` found.

    Attributes
    ----------
    taken : dict of str to int
        Epochs of each job that fits, in order of worth.
    seconds : dict of str to float
        What each job takes; of one that is left out, what it would take.
    left_out : list of str
    """

    taken: dict[str, int]
    seconds: dict[str, float]
    left_out: list[str]


def plan(jobs: Sequence[Job], seconds: float) -> Plan:
    """Take every job, in order, that fits into what those before it leave of the time.

    Parameters
    ----------
    jobs : sequence of Job
        In order of worth.
    seconds : float
        There are.
    """
    taken: dict[str, int] = {}
    needed: dict[str, float] = {}
    left_out = []
    shared: int | None = None
    for job in jobs:
        epochs = shared if job.shared and shared is not None else job.epochs
        if job.least is not None and job.epoch > 0 and job.seconds(epochs) > seconds:
            fitting = job.done + int(max(0.0, seconds - job.once) / job.epoch)
            epochs = min(epochs, max(job.least, fitting))
        needed[job.name] = job.seconds(epochs)
        if needed[job.name] > seconds or (job.after is not None and job.after not in taken):
            left_out.append(job.name)
            continue
        if job.shared and job.least is not None:
            shared = epochs
        taken[job.name] = epochs
        seconds -= needed[job.name]
    return Plan(taken, needed, left_out)
