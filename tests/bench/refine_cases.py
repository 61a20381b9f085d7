"""Pools for the comparison of iterative with static choices: GSM8K, and two of reasoning-gym with something planted."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lakesift.jobs.sources.samples import _answered
from tests.texts import SHARED

Row = dict[str, Any]
#: Families with answers of a few words, whose form a small model learns from few rows.
LEARNABLE = ("time_intervals", "family_relationships", "syllogism", "number_filtering")


@dataclass(frozen=True)
class Case:
    """A pool with held-out rows, the recipes that choose from it, and what is trained.

    `rows` takes a seed and returns rows with id, split ("train" or "test"), cluster, prompt, completion, quality; of
    planted pools `good`. `methods` are recipes' blocks by name: `select`, and `refine` where it is iterative.
    """

    name: str
    rows: Callable[[int], list[Row]]
    budget: int
    methods: dict[str, dict[str, Any]]
    scores: dict[str, Any] = field(default_factory=dict)
    targets: dict[str, Any] = field(default_factory=dict)
    most: int = 192


def _gsm8k(_seed: int) -> list[Row]:
    """1 500 rows of the training part and 64 of the test part; the same for all seeds, and so are their clusters."""
    found = []
    for split, name, count in (("train", "train", 1500), ("test", "test", 64)):
        with gzip.open(SHARED / "gsm8k" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            raw = [json.loads(line) for line in lines]
        for i in np.random.default_rng(0).permutation(len(raw))[:count].tolist():
            prompt, completion = f"Question: {raw[i]['question']}\nAnswer:", f" {raw[i]['answer']}"
            found.append({"id": f"{split}-{i}", "split": split, "prompt": prompt, "completion": completion})
    return [{**row, "cluster": "", "quality": 1.0} for row in found]


def _family(name: str, seed: int, train: int, test: int) -> list[Row]:
    pairs = _answered(name, 1000 * seed, 2 * (train + test))[: train + test]
    return [
        {"id": f"{name}-{i}", "split": "train" if i < train else "test", "cluster": name, "quality": 1.0, "good": 1,
         "prompt": f"{question}\nAnswer:", "completion": f" {answer}"}
        for i, (question, answer) in enumerate(pairs)
    ]  # fmt: skip


def _easy(seed: int) -> list[Row]:
    """Four families, and copies of five words, which a model learns from a few rows: 60 % of the pool."""
    rows = [row for name in LEARNABLE for row in _family(name, seed, 100, 16)]
    return rows + _copies(seed, 64, "Say it again: {0}\n{0}\n")


def _copies(seed: int, test: int, prompt: str) -> list[Row]:
    """Rows of cluster copy, 600 to train on: five words to be said again."""
    copies = _family("letter_counting", seed, 600, test)
    for row in copies:
        text = " ".join(row["prompt"].split('"')[3].split()[:5])
        row |= {"cluster": "copy", "prompt": prompt.format(text), "completion": text}
    return copies


def _mastered(seed: int) -> list[Row]:
    """Four families, and copies that the model does after a round, shown twice in each prompt: 60 % of the pool.

    No family is answered by yes or no: the loss of such a token swings by one nat with the model's calibration.
    """
    open_answers = [name for name in LEARNABLE if name != "syllogism"] + ["gcd"]
    rows = [row for name in open_answers for row in _family(name, seed, 100, 32)]
    shown = "Say it again: {0}\n"
    return rows + _copies(seed, 32, f"{shown}{{0}}\n" * 2 + shown)


def _noise(seed: int) -> list[Row]:
    """Four families, and one of which three rows in four have random letters as their answer, with low quality."""
    rows = [row for name in LEARNABLE for row in _family(name, seed, 150, 16)]
    draw = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz "))
    for i, row in enumerate(_family("letter_counting", seed, 200, 16)):
        if row["split"] == "train" and i % 4:
            row |= {"completion": " " + "".join(draw.choice(letters, 30)), "quality": 0.01, "good": 0}
        rows.append(row)
    return rows


def _iterative(select: dict[str, Any], reward: dict[str, Any] | None = None, **block: Any) -> dict[str, Any]:
    reward = reward or {"kind": "language_model", "device": "cpu"}
    return {"select": select, "refine": {"rounds": 3, "scored": 24, "reward": reward, **block}}


def _cases() -> dict[str, Case]:
    cells = {"cluster": "cells"}
    entropy = {"kind": "kmq", **cells, "quality": "entropy"}
    drawn = {"kind": "kmeans_random", "cluster": "cluster"}
    valued = {"kind": "kmq", "cluster": "cluster", "quality": "quality"}
    vector = {"vector": {"kind": "embedding", "encoder": "wordllama"}}
    gsm8k = {
        "iterative": _iterative(entropy),
        "static kmq": {"select": {**entropy, "quota": "equal"}},
        "kmeans_random": {"select": {"kind": "kmeans_random", **cells, "quota": "equal"}},
        "random": {"select": {"kind": "random"}},
    }
    mastered = {
        "iterative": _iterative(drawn, start="proportional"),
        "static": {"select": drawn},
        "random": {"select": {"kind": "random"}},
    }
    noise = {
        "iterative": _iterative(drawn),
        "static": {"select": {**drawn, "quota": "equal"}},
        "iterative, kmq by quality": _iterative(valued),
        "iterative, classifier": _iterative(
            drawn, {"kind": "classifier", "embedding": "vector", "target": "rated", "rating": "good"}
        ),
    }
    rated = {"rated": {"table": "rated", "text": "text"}}
    kmeans = {"cells": {"kind": "kmeans", "of": "vector", "k": 6, "fit_where": "split = 'train'"}}
    words = {"entropy": {"kind": "information_entropy", "whole": True}}
    return {
        "gsm8k": Case("gsm8k", _gsm8k, 150, gsm8k, vector | kmeans | words),
        "easy": Case("easy", _easy, 75, mastered, most=160),
        "mastered": Case("mastered", _mastered, 75, mastered, most=160),
        "noise": Case("noise", _noise, 75, noise, vector, rated, most=160),
    }


CASES = _cases()
