"""Classifiers that a search compares subsets of rows by: each is trained on some rows and asked about others.

`logistic`: multinomial logistic regression on vectors (scikit-learn, C = 10, which suits unit vectors), one thread.
`finetune`: all-MiniLM-L6-v2 with a linear head on the mean of its last hidden states, all weights trained (torch):
AdamW, 3 epochs of batches of 32 at a rate of 1e-4 that falls linearly to 0, texts cut at 64 tokens; weights of the
head and order of the rows come from the seed; on a GPU where torch sees one, whose last bits are others. Left out: any
tuning of these numbers, a search inside the search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from ..arrays import Flags, Floats, Ints
from . import files, minilm
from .reading import reading

#: Accuracy of a classifier on rows: (indices to train on, indices to ask about, seed) -> share that is right.
Learner = Callable[[Ints, Ints, int], float]

_TUNE = "pip install 'lakesift[tune]'"
_EPOCHS, _BATCH, _RATE, _TOKENS = 3, 32, 1e-4, 64


def check_learner(name: str) -> None:
    """Raise PlatformError if a package or a file that a learner needs is missing here."""
    if name == "finetune":
        minilm.requirements()
        files.verified("minilm")
    else:
        files.module("sklearn.linear_model", _TUNE, "on the driver")


class Rows(Protocol):
    """n labelled rows: labels (n,) from 0, vectors (n, d), texts."""

    @property
    def labels(self) -> Ints: ...
    @property
    def vectors(self) -> Floats: ...
    @property
    def texts(self) -> Sequence[str]: ...


def logistic(rows: Rows) -> Learner:
    """Return the learner over labels and vectors."""
    labels, vectors = rows.labels, rows.vectors

    def accuracy(train: Ints, ask: Ints, _seed: int) -> float:
        known = np.unique(labels[train])
        if len(known) == 1:  # nothing to separate: it says the only class that it has seen
            return float(np.mean(labels[ask] == known[0]))
        with _regression(vectors[train], labels[train]) as model:
            return float(np.mean(model.predict(vectors[ask]) == labels[ask]))

    return accuracy


@contextmanager
def _regression(vectors: Floats, labels: Any, penalty: float = 10.0) -> Iterator[Any]:
    """Yield a fitted multinomial logistic regression, to be asked inside, on one thread."""
    models = files.module("sklearn.linear_model", _TUNE, "on the driver")
    threads = files.module("threadpoolctl", _TUNE, "on the driver")
    with threads.threadpool_limits(1):  # matrices this small: two threads took 45 times as long beside other work
        yield models.LogisticRegression(C=penalty, max_iter=1000).fit(vectors, labels)


def log_odds(vectors: Floats, good: Flags, asked: Floats, penalty: float = 10.0) -> Floats:
    """Return ln(p / (1 - p)) of being good, (m,), of `asked` (m, d) by logistic regression on (n, d) examples.

    `good` (n,) has both values; `penalty` is scikit-learn's C, the inverse of the strength of the L2 penalty.
    """
    with _regression(vectors, good, penalty) as model:
        return np.asarray(model.decision_function(asked), np.float64)


def finetune(rows: Rows) -> Learner:
    """Return the learner over labels and texts."""
    torch, transformers = minilm.requirements()
    transformers.logging.disable_progress_bar()
    with reading("minilm") as folder:
        tokenizer = files.tokenizer(folder / "tokenizer.json", _TUNE)
    tokenizer.enable_truncation(_TOKENS)
    tokens = [torch.tensor(e.ids) for e in tokenizer.encode_batch_fast(list(rows.texts))]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    classes, goal = int(rows.labels.max()) + 1, torch.from_numpy(rows.labels.astype(np.int64)).to(device)

    def batch(some: Any) -> tuple[Any, Any]:
        ids = torch.nn.utils.rnn.pad_sequence([tokens[int(i)] for i in some], batch_first=True)
        lengths = torch.tensor([len(tokens[int(i)]) for i in some])
        return ids.to(device), (torch.arange(ids.shape[1]) < lengths[:, None]).long().to(device)

    def accuracy(train: Ints, ask: Ints, seed: int) -> float:
        torch.manual_seed(seed)
        with reading("minilm") as folder:
            model = minilm.weights(transformers, folder).to(device)
        head = torch.nn.Linear(model.config.hidden_size, classes).to(device)

        def logits(some: Any) -> Any:
            ids, mask = batch(some)
            states = model(input_ids=ids, attention_mask=mask).last_hidden_state * mask[:, :, None]
            return head(states.sum(dim=1) / mask.sum(dim=1, keepdim=True))

        parameters = [*model.parameters(), *head.parameters()]
        optimiser = torch.optim.AdamW(parameters, lr=_RATE, weight_decay=0.01)
        batches = [b for _ in range(_EPOCHS) for b in torch.from_numpy(train)[torch.randperm(len(train))].split(_BATCH)]
        falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, len(batches))
        model.train()
        for some in batches:
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(logits(some), goal[some]).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            falling.step()
        model.eval()
        by_length = sorted(ask.tolist(), key=lambda i: len(tokens[i]))  # little padding
        with torch.inference_mode():
            right = sum(int((logits(some).argmax(1) == goal[some]).sum()) for some in torch.tensor(by_length).split(64))
        return right / len(ask)

    return accuracy


#: Learners by name, over rows.
LEARNERS: dict[str, Callable[[Rows], Learner]] = {"logistic": logistic, "finetune": finetune}
