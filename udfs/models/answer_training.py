"""Fine-tunes a language model on rows and asks what it still has to learn of them: a round of Diversify-and-Conquer.

arXiv 2409.11378 trains all of a model on the rows chosen so far, lets it answer their prompts, and takes as reward of a
row how much better its own answer fits than the model's. Here only the last layers are trained, in float32 by AdamW
without weight decay, from the given model each time, on the tokens of completions and their ends: the mean over those
of a batch. Rows are shuffled for every pass by the seed, and run one at a time (answer_model.py), so the same rows,
order and seed give the same bits on one machine; other CPUs, GPUs and builds of torch give others.

Reward in nats: mean NLL of the completion less that of the generated answer by the newest model, both cut to the same
number of tokens, without the completion's end. `answer`: means over those tokens, given the prompt. `full`: over the
prompt too, the paper's -log(PPL(x + y_generated) / PPL(x + y)); at equal lengths the prompt's share cancels, so it is
`answer` times the share of those tokens in the sequence. Generation is greedy. An empty answer counts as the one token
that ended it. Left out: training of all layers, LoRA, schedules, sampling.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Floats, Ints, Matrix
from ..errors import ScoreError
from . import causal_torch
from .answer_model import open_model
from .answer_task import HeldOut, Progress, Result, Row, Task


def train(task: Task, hidden: Mapping[str, Matrix] | None = None, progress: Progress | None = None) -> Result:
    """Train on rows, score those asked, measure those held out.

    Parameters
    ----------
    task : Task
    hidden : mapping, optional
        Id -> states, as an earlier round with the same model, `layers` and `most` returned them.
    progress : callable, optional

    Raises
    ------
    PlatformError, ScoreError, RecipeError
        As `open_model`; ScoreError too if an id is asked that no row has, stands for two texts or has other states, or
        if no row has a completion.
    """
    rows = _by_id([*task.rows, *task.held_out])
    if unknown := [i for i in task.asked if i not in {row.id for row in task.rows}]:
        raise ScoreError(f"row {unknown[0]!r} is to be scored, and is not among the rows to train on; name one of them")
    with _deterministic():
        return _Round(task, rows, progress or (lambda *_: None)).run(hidden or {})


class _Round:
    """A round while it runs."""

    def __init__(self, task: Task, rows: Mapping[str, Row], progress: Progress) -> None:
        self.task, self.progress, self.seconds = task, progress, dict[str, float]()
        with self._phase("load"):
            self.model = open_model(task.model, task.training.layers, task.training.device)
            self.read = {i: self.model.read(r.prompt, r.completion, task.training.most) for i, r in rows.items()}
        self.states: dict[str, Any] = {}

    def run(self, kept: Mapping[str, Matrix]) -> Result:
        with self._phase("hidden"):
            made = self._lower(kept)
        with self._phase("held_out"):
            before, tokens = self._measured()
        with self._phase("train"):
            losses, trained = self._train()
        with self._phase("held_out"):
            after, _ = self._measured()
        with self._phase("generate"):
            rewards, generated = self._asked()
        layers = {name: p.detach().cpu().numpy().copy() for name, p in self.model.trained().items()}
        held_out = HeldOut(before, after, tokens)
        return Result(rewards, generated, losses, trained, held_out, layers, made, self.seconds, peak_mb())

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        began = time.process_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - began

    def _lower(self, kept: Mapping[str, Matrix]) -> dict[str, Matrix]:
        """Take or compute the states of all rows that are defined; returns those computed."""
        made: dict[str, Matrix] = {}
        defined = {i: row for i, row in self.read.items() if row.gold}
        width = self.model.network.config.hidden_size
        absent = len(defined.keys() - kept.keys())
        for i, row in defined.items():
            if i not in kept:
                made[i] = self.model.lower(row)
                self.progress("hidden", len(made), absent)
            elif kept[i].shape != (len(row.ids) - 1, width):
                raise ScoreError(
                    f"the kept states of row {i!r} have shape {kept[i].shape}, its text needs "
                    f"{len(row.ids) - 1, width}; leave out states of other texts, models or values of layers and most"
                )
            # A copy: its place in memory may decide last bits.
            self.states[i] = self.model.torch.tensor(made[i] if i in made else kept[i])
        return made

    def _train(self) -> tuple[Floats, int]:
        """Train the last layers in place; returns the loss before each step, and the number of rows."""
        torch, own = self.model.torch, self.task.training
        rows = [row.id for row in self.task.rows if row.id in self.states]
        if not rows:
            raise ScoreError(
                f"none of {len(self.task.rows)} rows has a completion within {own.most} tokens; choose rows that have, "
                "or raise most"
            )
        order = torch.Generator().manual_seed(own.seed)
        batches = [
            batch for _ in range(own.epochs) for batch in torch.randperm(len(rows), generator=order).split(own.batch)
        ]
        parameters = [p.requires_grad_() for p in self.model.trained().values()]
        optimiser = torch.optim.AdamW(parameters, lr=own.rate, weight_decay=0.0)
        losses = np.empty(len(batches))
        for step, batch in enumerate(batches):
            optimiser.zero_grad()
            losses[step] = self._backward([rows[k] for k in batch.tolist()])
            optimiser.step()
            self.progress("train", step + 1, len(batches))
        self.model.network.requires_grad_(False)
        return losses, len(rows)

    def _backward(self, rows: Sequence[str]) -> float:
        """Add up the gradients of a batch's mean loss, row by row; returns that mean."""
        torch, own, mean = self.model.torch, self.task.training, 0.0
        tokens = sum(len(self.read[i].ids) - self.read[i].start for i in rows)
        for i in rows:
            with torch.autocast(own.device, dtype=torch.bfloat16, enabled=own.dtype == "bfloat16"):
                loss = self.model.loss(self.read[i], self.states[i]).sum() / tokens
            loss.backward()
            mean += float(loss.detach())
        return mean

    def _measured(self) -> tuple[Floats, Ints]:
        """Return the mean NLL and the tokens of each row held out."""
        nll = [
            self.model.nll(self.read[row.id], self.states[row.id]) if row.id in self.states else np.empty(0)
            for row in self.task.held_out
        ]
        return np.array([n.mean() if len(n) else np.nan for n in nll]), np.array([len(n) for n in nll], np.int64)

    def _asked(self) -> tuple[Floats, list[str]]:
        """Return rewards and generated texts of the rows asked."""
        rewards, texts = np.full(len(self.task.asked), np.nan), [""] * len(self.task.asked)
        for k, i in enumerate(self.task.asked):
            if i in self.states:
                texts[k], said = self.model.generate(self.read[i], self.task.training.tokens)
                rewards[k] = self._reward(i, said)
            self.progress("generate", k + 1, len(texts))
        return rewards, texts

    def _reward(self, i: str, said: Floats) -> float:
        row = self.read[i]
        n = min(row.gold, len(said))
        lost = float((self.model.nll(row, self.states[i])[:n] - said[:n]).sum())
        return lost / (n if self.task.training.scope == "answer" else row.start - 1 + n)


def _by_id(rows: Sequence[Row]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for row in rows:
        if found.setdefault(row.id, row) != row:
            raise ScoreError(f"row {row.id!r} stands for two texts; give each row an id of its own")
    return found


@contextmanager
def _deterministic() -> Iterator[None]:
    """Let torch use only operations that repeat bit for bit, and go back to what was."""
    torch, _ = causal_torch.requirements()
    before = torch.are_deterministic_algorithms_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what CUDA's products need for it
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def peak_mb() -> int:
    """Return the most memory that this process has held, in MB; a child's getrusage would count its parent's."""
    status = Path("/proc/self/status")
    if status.is_file():
        return (
            next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) // 1024
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1 << 20 if sys.platform == "darwin" else 1 << 10)
