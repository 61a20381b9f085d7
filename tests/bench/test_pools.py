"""Laws of planted pools and of how selections on them are compared; on a made corpus, no JVM."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pytest

from lakesift.udfs.errors import InputError
from lakesift.udfs.kernels.ngram_model import held_out_bits_per_byte
from tests.bench import (
    bench_quality,
    bench_random_regimes,
    bench_regimes,
    bench_targets,
    corpus,
    judging,
    orders,
    plots,
    pools,
)

WORDS = ["cell", "river", "matrix", "sonnet", "voltage", "harbour"]


def rows(tasks: int = 6, of_each: int = 120) -> list[tuple[str, str]]:
    """Texts of tasks that share no words, the first task ten times as many as the last."""
    return [
        (f"task {t}", f"{WORDS[t]} number {i} " + f"{WORDS[t]}{i % 7} " * (3 + i % 11))
        for t in range(tasks)
        for i in range(max(12, of_each * (tasks - t) // tasks))
    ]


@pytest.fixture(autouse=True)
def generators(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions in no time."""
    monkeypatch.setattr(pools, "questions", lambda name: [f"{name} {i}?" for i in range(pools.QUESTIONS)])


@pytest.fixture(scope="module")
def small() -> corpus.Corpus:
    return corpus.split("small", rows())


def test_held_out_rows_are_never_in_the_pool_and_do_not_follow_the_order(small: corpus.Corpus) -> None:
    again = corpus.split("small", [*rows()[::-1], ("task 0", "  " + rows()[0][1]), ("task 0", "short")])
    assert {task: set(texts) for task, texts in again.held_out.items()} == {
        task: set(texts) for task, texts in small.held_out.items()
    }
    assert sorted(again.texts) == sorted(small.texts)
    held = {text for texts in small.held_out.values() for text in texts}
    assert not held & set(small.texts)
    assert all(0 < len(texts) <= corpus.HELD_OUT for texts in small.held_out.values())


@pytest.mark.parametrize("kind", pools.KINDS)
def test_a_pool_has_its_rows_its_planted_share_and_follows_the_seed(small: corpus.Corpus, kind: str) -> None:
    pool, again, other = (pools.planted(small, kind, seed, rows=200) for seed in (0, 0, 1))
    assert pool.texts == again.texts != other.texts
    assert len(pool.texts) == len(pool.tasks) == len(pool.original) == 200
    assert (~pool.original).sum() == round(200 * pools.PLANTED.get(kind, 0))
    clean = [text for text, own in zip(pool.texts, pool.original, strict=True) if own]
    assert set(clean) <= set(small.texts)
    assert len(set(clean)) == len(clean)
    task_of = dict(zip(small.texts, small.tasks, strict=True))
    assert [task_of[text] for text in clean] == pool.tasks[pool.original].tolist()
    planted = set(pool.tasks[~pool.original].tolist())
    assert planted <= ({"template"} if kind == "templates" else {"junk"} if kind == "junk" else set(small.held_out))
    assert pools.mix(pool, list(small.held_out)).sum() == pytest.approx(1)


def test_a_balanced_pool_has_equal_tasks_and_zipf_has_not(small: corpus.Corpus) -> None:
    counts = np.unique(pools.planted(small, "balanced", 0, rows=90).tasks, return_counts=True)[1]
    assert counts.max() - counts.min() <= 1
    counts = np.unique(pools.planted(small, "zipf", 0, rows=60).tasks, return_counts=True)[1]
    assert counts.max() > 5 * counts.min()


def test_random_regimes_stay_inside_what_is_said_of_them() -> None:
    many = corpus.split("many", rows(of_each=4_000))
    regimes = [pools.random_regime(many, seed) for seed in range(8)]
    assert regimes[3].pool.texts == pools.random_regime(many, 3).pool.texts
    for regime in regimes:
        assert regime.share in pools.BUDGETS
        assert len(regime.pool.texts) in pools.SIZES
        planted = sum(regime.facts[kind] for kind in pools.LARGEST)
        assert planted == pytest.approx((~regime.pool.original).mean())
        assert planted <= pools.MOST + 0.001
    for kind in pools.LARGEST:
        assert 0 < sum(regime.facts[kind] == 0 for regime in regimes) < len(regimes), "absent in some"


def test_the_judge_is_the_kernel_by_task_at_equal_bytes(small: corpus.Corpus) -> None:
    judge, order = judging.Judge(small.held_out), np.random.default_rng(0).permutation(len(small.texts))
    bits = judge(small.texts, order, 2_000)
    train = [small.texts[i] for i in order]
    assert bits.tolist() == pytest.approx([held_out_bits_per_byte(train, t, 2_000) for t in small.held_out.values()])
    of_one = judge(small.texts, np.flatnonzero(small.tasks == "task 2"), 2_000)
    assert of_one.argmin() == judge.names.index("task 2")
    with pytest.raises(InputError, match="fewer than the budget"):
        judge(small.texts, order[:1], 2_000)


def test_length_matched_rows_have_the_lengths_of_the_chosen_at_every_prefix() -> None:
    draw = np.random.default_rng(0)
    sizes = draw.integers(20, 2_000, 4_000)
    chosen = np.flatnonzero(sizes > 1_500)[:200]
    order = judging.length_matched(sizes, chosen, draw)
    assert sorted(order.tolist()) == list(range(4_000))
    for count in (100, 200, 400):
        assert abs(sizes[order[:count]].mean() / sizes[chosen].mean() - 1) < 0.02
    assert len(set(order[:200]) & set(chosen)) < 80, "drawn from all rows"


def test_quotas_in_turn_hold_in_every_prefix() -> None:
    group = np.repeat(np.arange(3), [100, 100, 4])
    order = judging.in_turn(group, np.arange(204), np.array([2.0, 1.0, 1.0]), np.random.default_rng(1))
    for n in (8, 12, 16):
        assert np.abs(np.bincount(group[order[:n]], minlength=3) - n * np.array([0.5, 0.25, 0.25])).max() <= 2
    assert order[group[order] == 0].tolist() == list(range(100)), "by key inside a group"
    none = judging.in_turn(group, np.arange(204), np.array([1.0, 0.0, 1.0]), np.random.default_rng(1))
    assert set(group[none[-100:]]) == {1}


def test_worth_reads_the_curve_back_and_falls_with_bits() -> None:
    curve = [3.0, 2.7, 2.5, 2.4]
    assert [judging.worth(bits, curve) for bits in curve] == pytest.approx(list(judging.TIMES))
    values = [judging.worth(bits, curve) for bits in np.linspace(2.3, 3.1, 30)]
    assert values == sorted(values, reverse=True)
    assert (values[0], values[-1]) == (4.0, 0.5)
    assert judging.worth(2.7, [3.0, 2.7, 2.75, 2.4]) == pytest.approx(2**0.5), "a curve that rises by chance"


def test_an_interval_of_one_value_claims_nothing() -> None:
    assert judging.interval([0.3]) == (0.3, np.inf)
    assert judging.cell([0.3]) == "+.300"


def test_coverage_keeps_one_of_rows_that_repeat_and_covers_every_direction() -> None:
    """40 directions, the first with 200 near-copies: each is taken once before any is taken again."""
    draw = np.random.default_rng(0)
    axes = np.eye(40, 64, dtype=np.float32)
    x = np.concatenate([axes, axes[:1] + draw.normal(0, 0.01, (200, 64)).astype(np.float32)])
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    assert orders.near_share(x) == pytest.approx(201 / 240)
    order = orders.coverage(x, np.zeros(240, np.int64), draw.permutation(240), 40)
    assert sorted(x[order].argmax(axis=1)) == list(range(40))
    wanted = np.where(np.arange(240) == 7, 9.0, 1.0)
    assert orders.coverage(x, np.zeros(240, np.int64), draw.permutation(240), 3, wanted, 0.9)[0] == 7


def test_linear_weights_lift_a_mean_by_the_square_of_its_cv() -> None:
    draw = np.random.default_rng(0)
    q, cluster = draw.gamma(4, size=200_000), draw.integers(0, 5, 200_000)
    drawn = draw.choice(q, 50_000, p=q / q.sum())
    lift = bench_quality.lifted(q, cluster)
    assert lift == pytest.approx(1 + q.var() / q.mean() ** 2, abs=0.01)
    assert lift == pytest.approx(drawn.mean() / q.mean(), abs=0.01)


def test_rows_that_a_target_holds_out_are_in_no_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    many = corpus.split("small", rows(of_each=3_000))
    monkeypatch.setitem(bench_targets.TARGETS, "small", {"task 0": ("task 0", "task 1")})
    pool = bench_targets.made(many, "task 0", 0.2, seed=3)
    kept = set(pool.texts)
    assert len(pool.texts) == len(kept) == bench_targets.ROWS
    assert pool.relevant.mean() == 0.2
    assert all(text.split()[0] in WORDS[:2] for text, near in zip(pool.texts, pool.relevant, strict=True) if near)
    apart = [set(pool.shown), *map(set, pool.held_out.values())]
    assert [len(part) for part in apart] == [bench_targets.SHOWN, *(bench_targets.HELD_OUT // 2,) * 2]
    assert not any(a & b for i, a in enumerate([kept, *apart]) for b in [kept, *apart][:i])


def test_reports_print_whole_tables(capsys: pytest.CaptureFixture[str]) -> None:
    draw, pair = np.random.default_rng(0), bench_random_regimes.Found
    names = ("coverage", "facility_location")
    of_pool = [{name: draw.normal(size=6) for name in names} for _ in range(12)]
    jobs = [("packages", kind, seed) for kind in pools.KINDS for seed in (0, 1)]
    kinds = list(zip(jobs, of_pool, strict=True))
    bench_regimes.report(kinds)
    facts = [{"near": near, "budget rows": rows} for near in (0.05, 0.2, 0.9) for rows in (5, 30, 100)]
    of_each = [{name: draw.normal(size=2) for name in bench_random_regimes.NAMES} for _ in facts]
    bench_random_regimes.report([pair("packages", f, gains) for f, gains in zip(facts, of_each, strict=True)])
    lifts = {column: draw.normal(size=3) for column in ("judge", "tokens")}
    gains = {(column, "top_k"): draw.normal(size=2) for column in lifts} | {("none", "coverage"): draw.normal(size=2)}
    bench_quality.report([(("packages", seed), (lifts, gains)) for seed in (0, 1)])
    found = {(part, name): draw.normal(size=3) for part in bench_targets.BUDGETS for name in bench_targets.METHODS}
    rhos = dict.fromkeys(bench_targets.METHODS, -0.5)
    bench_targets.report([(("packages", "a", share, 0), (found, rhos)) for share in bench_targets.SHARES])
    printed = capsys.readouterr().out
    blocks = [block.splitlines() for block in printed.split("\n\n") if block.startswith("|")]
    assert len(blocks) == 7 + 4 + 2 + 5
    for block in blocks:
        assert len({line.count("|") for line in block if line.startswith("|")}) == 1, block
    assert printed.count("    Band(") == len(bench_random_regimes.BANDS)


def test_a_figure_has_the_same_bytes_for_the_same_numbers(tmp_path: Path) -> None:
    values = {"a": {"x": np.array([1.0, 2.0, 4.0])}, "b": {"x": np.array([0.0, 0.5, 1.0])}}
    for name in ("one", "two"):
        plots.by_group(values, "title", "unit", tmp_path / "new" / f"{name}.svg")
    one, two = ((tmp_path / "new" / f"{name}.svg").read_bytes() for name in ("one", "two"))
    assert one == two
    assert b"<svg" in one


@pytest.mark.parametrize("module", [pools, judging, bench_random_regimes, bench_quality])
def test_examples(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
