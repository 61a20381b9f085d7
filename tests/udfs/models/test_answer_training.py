"""Training on answers: halves against the whole model, rewards by hand, the same bits again, a child that is killed.

With the random tiny Llama, in seconds; SmolLM2 itself on school mathematics in the long run.
"""

from __future__ import annotations

import gzip
import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lakesift.udfs.errors import PlatformError, RecipeError, ScoreError
from lakesift.udfs.models import answer_folders, answer_model, answer_process, files
from lakesift.udfs.models.answer_process import train_in_process
from lakesift.udfs.models.answer_task import Row, Task, Training
from lakesift.udfs.models.answer_training import train
from tests import tiny_llama
from tests.fetched import fetched

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "gsm8k"
SMALL = Training(seed=1, layers=1, epochs=2, batch=3, tokens=12, most=96)
ROWS = [Row(f"r{i}", f"What is {i} and {i}?", f" {i} and {i} is {2 * i}.") for i in range(7)]
HELD_OUT = [Row("h0", "What is 9 and 8?", " 9 and 8 is 17."), Row("h1", "Nothing", "")]


@pytest.fixture(autouse=True, scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of the random Llama in Hugging Face's form, written from derived files that stand for smollm2."""
    cache, out = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("tiny") / "model"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "cache_folder", lambda: cache)
        patch.setitem(files.MODELS, "smollm2", tiny_llama.install(cache))
        answer_folders.save_model("smollm2", {}, out)
        answer_folders.check("smollm2", 2)
        assert answer_folders.identity("smollm2") == files.identity("smollm2")
    return str(out)


def whole(folder: str) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder).float().eval()


def nll_of(network: Any, ids: list[int]) -> np.ndarray:
    """Return the nll (n - 1,) in nats of each token but the first, by one pass through all of a model."""
    with torch.inference_mode():
        logits = network(input_ids=torch.tensor([ids])).logits[0, :-1].double()
    return -torch.log_softmax(logits, 1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].numpy()


def tokens(folder: str, text: str) -> list[int]:
    return answer_model.ids_of(answer_model.tokenizer(Path(folder), "")[0], text)


def with_layers(folder: str, layers: Any) -> Any:
    network = whole(folder)
    network.load_state_dict({k: torch.tensor(v) for k, v in layers.items()}, strict=False)
    return network


@pytest.mark.parametrize("layers", [1, 2])
def test_the_halves_equal_the_whole_model(tiny: str, layers: int) -> None:
    model, network = answer_model.open_model(tiny, layers), whole(tiny)
    for row in ROWS:
        read = model.read(row.prompt, row.completion, 96)
        states = torch.tensor(model.lower(read))
        assert states.dtype == torch.float32
        assert states.shape == (len(read.ids) - 1, tiny_llama.WIDTH)
        ids = [model.bos, *tokens(tiny, row.prompt), *tokens(tiny, row.completion), model.bos]
        assert list(read.ids) == ids
        expected = nll_of(network, ids)[read.start - 1 :]
        np.testing.assert_allclose(model.nll(read, states), expected, atol=1e-4, rtol=0)


def test_training_equals_the_whole_model_trained(tiny: str) -> None:
    """One step over all rows in one batch, against backward through the whole network."""
    own = replace(SMALL, epochs=1, batch=99, rate=1e-2)
    found = train(Task(tiny, own, ROWS, []))
    network = whole(tiny).requires_grad_(False)
    last = network.model.layers[1].requires_grad_()
    model, losses = answer_model.open_model(tiny, 1), []
    for row in ROWS:
        read = model.read(row.prompt, row.completion, 96)
        logits = network(input_ids=torch.tensor([read.ids[:-1]])).logits[0, read.start - 1 :]
        losses.append(torch.nn.functional.cross_entropy(logits, torch.tensor(read.ids[read.start :]), reduction="none"))
    loss = torch.cat(losses).mean()
    loss.backward()
    np.testing.assert_allclose(found.losses, [loss.item()], atol=1e-4, rtol=0)
    torch.optim.AdamW(last.parameters(), lr=1e-2, weight_decay=0.0).step()
    assert set(found.layers) == {f"model.layers.1.{name}" for name, _ in last.named_parameters()}
    for name, values in last.named_parameters():
        mine = found.layers[f"model.layers.1.{name}"]
        assert mine.dtype == np.float32
        # Adam's first step is the sign of the gradient: where that is nearly 0, last bits may turn it.
        assert np.mean(np.abs(mine - values.detach().numpy()) < 1e-4) > 0.999


def test_the_same_bits_in_two_processes_and_with_kept_states(tiny: str, tmp_path: Path) -> None:
    task, steps = Task(tiny, SMALL, ROWS, ["r3", "r5"], HELD_OUT), list[tuple[str, int, int]]()
    first = train_in_process(tmp_path / "1", task, progress=lambda *step: steps.append(step))
    assert steps == [
        *(("hidden", i, 8) for i in range(1, 9)),
        *(("train", i, 6) for i in range(1, 7)),
        *(("generate", i, 2) for i in (1, 2)),
    ]
    kept = {i: states for i, states in first.hidden.items() if i != "r2"}
    second, third = train_in_process(tmp_path / "2", task, kept), train(task)
    assert set(first.hidden) == {*(row.id for row in ROWS), "h0"}
    assert set(second.hidden) == {"r2"}
    assert second.hidden["r2"].tobytes() == first.hidden["r2"].tobytes()
    for other in (second, third):
        assert other.layers.keys() == first.layers.keys()
        assert all(other.layers[name].tobytes() == values.tobytes() for name, values in first.layers.items())
        assert other.rewards.tobytes() == first.rewards.tobytes()
        assert other.losses.tobytes() == first.losses.tobytes()
        assert other.held_out.after.tobytes() == first.held_out.after.tobytes()
        assert list(other.generated) == list(first.generated)
    assert set(first.seconds) == {"load", "hidden", "held_out", "train", "generate"}
    assert 100 < first.rss_mb < 2000
    assert train(replace(task, training=replace(SMALL, seed=2))).losses.tobytes() != first.losses.tobytes()


def test_states_of_a_row_are_the_same_in_any_company(tiny: str) -> None:
    alone = train(Task(tiny, SMALL, ROWS[4:5], [])).hidden["r4"]
    assert train(Task(tiny, SMALL, ROWS[::-1], [])).hidden["r4"].tobytes() == alone.tobytes()


def test_loss_falls_on_repeated_rows_and_held_out_is_the_models(tiny: str) -> None:
    found = train(Task(tiny, replace(SMALL, epochs=20, rate=1e-2, layers=2), ROWS, [], HELD_OUT))
    assert len(found.losses) == 20 * 3
    assert found.trained == 7
    assert found.losses[-3:].mean() < 0.5 * found.losses[:3].mean()
    held, row = found.held_out, HELD_OUT[0]
    ids = [0, *tokens(tiny, row.prompt), *tokens(tiny, row.completion), 0]
    start = len(tokens(tiny, row.prompt))
    assert held.tokens.tolist() == [len(ids) - 1 - start, 0]
    for network, nll in ((whole(tiny), held.before), (with_layers(tiny, found.layers), held.after)):
        assert nll[0] == pytest.approx(nll_of(network, ids)[start:].mean(), abs=1e-4)
        assert np.isnan(nll[1])


@pytest.mark.parametrize("scope", ["answer", "full"])
def test_rewards_by_hand(tiny: str, scope: Any) -> None:
    asked = [row.id for row in ROWS]
    # A completion longer than what is generated, and one that is shorter.
    rows = [*ROWS[:5], Row("r5", "Say", " it is " + "so " * 9), Row("r6", "Say", "x")]
    found = train(Task(tiny, replace(SMALL, scope=scope), rows, asked))
    network, lengths = with_layers(tiny, found.layers), []
    for row, reward, text in zip(rows, found.rewards, found.generated, strict=True):
        prompt, gold = [0, *tokens(tiny, row.prompt)], tokens(tiny, row.completion)
        with torch.inference_mode():
            said = network.generate(
                input_ids=torch.tensor([prompt]),
                max_new_tokens=12,
                do_sample=False,
                eos_token_id=[0, 2],
                pad_token_id=0,
            )[0, len(prompt) :].tolist()
        words = [t for t in said if t not in (0, 2)]
        assert text == answer_model.tokenizer(Path(tiny), "")[0].decode(words)
        n = min(len(gold), max(1, len(words)))
        since = len(prompt) - 1 if scope == "answer" else 0
        means = [nll_of(network, prompt + y[:n])[since:].mean() for y in (gold, said)]
        assert reward == pytest.approx(means[0] - means[1], abs=1e-4)
        lengths.append((len(words), len(gold)))
    assert any(a < b for a, b in lengths)
    assert any(a > b for a, b in lengths)


def test_an_empty_answer_counts_as_the_token_that_ended_it(tiny: str) -> None:
    rows = [Row("a", "Say", "x")]
    model = answer_model.open_model(tiny, 1)
    with torch.no_grad():
        model.network.lm_head.weight[0] *= 100  # the embedding is tied: BOS becomes what is said, or never
    read = model.read(rows[0].prompt, rows[0].completion, 96)
    for _ in range(2):
        text, nll = model.generate(read, 5)
        if text == "":
            break
        with torch.no_grad():
            model.network.model.norm.weight.neg_()
    assert text == ""
    assert nll.shape == (1,)
    assert nll[0] == pytest.approx(0.0, abs=1e-3)


def test_rows_without_a_completion_are_undefined_and_left_out(tiny: str) -> None:
    odd = [
        Row("empty", "Say", ""),
        Row("long", "so " * 60, " what"),
        Row("surrogate", "Say", "\ud800"),
        Row("special", "Say <|endoftext|>", "<|im_end|>"),
        Row("cut", "Say", " ever" * 60),
    ]
    found = train(Task(tiny, SMALL, [*ROWS, *odd], [row.id for row in odd]))
    assert np.isnan(found.rewards).tolist() == [True, True, True, False, False]
    assert list(found.generated)[:3] == ["", "", ""]
    assert found.trained == 9
    assert found.hidden["cut"].shape[0] == 95
    clean = train(Task(tiny, SMALL, [*ROWS, *odd[3:]], []))
    assert clean.losses.tobytes() == found.losses.tobytes()
    with pytest.raises(ScoreError, match="none of 3 rows has a completion within 96 tokens"):
        train(Task(tiny, SMALL, odd[:3], []))


def test_an_answer_does_not_depend_on_who_else_is_asked(tiny: str) -> None:
    together = train(Task(tiny, SMALL, ROWS, ["r1", "r2", "r3"]))
    alone = train(Task(tiny, SMALL, ROWS, ["r2"]))
    assert alone.rewards.tobytes() == together.rewards[1:2].tobytes()
    assert list(alone.generated) == [together.generated[1]]


def test_a_saved_model_is_the_trained_one(tiny: str, tmp_path: Path) -> None:
    found = train(Task(tiny, SMALL, ROWS, [], HELD_OUT))
    answer_folders.save_model(tiny, found.layers, tmp_path / "out")
    saved = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= {
        p.name for p in (tmp_path / "out").iterdir()
    }
    assert answer_folders.identity(str(tmp_path / "out")) != answer_folders.identity(tiny)
    row = HELD_OUT[0]
    prompt, told = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (row.prompt, row.completion))
    assert [prompt, told] == [tokens(tiny, row.prompt), tokens(tiny, row.completion)]
    assert tokenizer.decode(told) == row.completion
    assert tokenizer.eos_token_id == 0
    nll = nll_of(saved.float().eval(), [0, *prompt, *told, 0])[len(prompt) :].mean()
    assert nll == pytest.approx(found.held_out.after[0], abs=1e-4)
    again = train(Task(str(tmp_path / "out"), SMALL, ROWS, [], HELD_OUT))
    assert again.held_out.before.tobytes() == found.held_out.after.tobytes()
    with pytest.raises(ScoreError, match=r"has no parameter lm\.x of shape \(2,\); give the layers of that model"):
        answer_folders.save_model(tiny, {"lm.x": np.zeros(2, np.float32)}, tmp_path / "other")


def test_what_is_refused(tiny: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"layers is 3, and the model in .* has 2; set layers: 1 to 2"):
        train(Task(tiny, replace(SMALL, layers=3), ROWS, []))
    with pytest.raises(ScoreError, match=r"^layers is 3, and the model in .* has 2; set layers: 1 to 2$"):
        train_in_process(tmp_path / "w", Task(tiny, replace(SMALL, layers=3), ROWS, []))
    shape = transformers.GPT2Config(n_layer=2, n_embd=32, n_head=2, vocab_size=tiny_llama.VOCABULARY)
    gpt2 = tmp_path / "gpt2"
    transformers.GPT2LMHeadModel(shape).save_pretrained(gpt2)
    (gpt2 / "tokenizer.json").write_bytes((Path(tiny) / "tokenizer.json").read_bytes())
    with pytest.raises(ScoreError, match=r"gpt2 holds a model of type 'gpt2'; .* name smollm2, or a folder"):
        answer_folders.check(str(gpt2))
    with pytest.raises(ScoreError, match=r"gpt2 holds a GPT2LMHeadModel; answers are trained on Llama-type models"):
        answer_folders.network_of(str(gpt2))
    with pytest.raises(PlatformError, match="nowhere is no folder of a language model"):
        answer_folders.check("nowhere")
    with pytest.raises(ScoreError, match="row 'x' is to be scored, and is not among the rows"):
        train(Task(tiny, SMALL, ROWS, ["x"]))
    with pytest.raises(ScoreError, match="row 'r0' stands for two texts"):
        train(Task(tiny, SMALL, [*ROWS, Row("r0", "a", "b")], []))
    with pytest.raises(ScoreError, match=r"kept states of row 'r0' have shape \(1, 64\), its text needs"):
        train(Task(tiny, SMALL, ROWS, []), {"r0": np.zeros((1, 64), np.float32)})
    with pytest.raises(RecipeError, match="answer_training: layers is 0; a whole number from 1 is needed"):
        replace(SMALL, layers=0)


def test_a_model_whose_halves_are_not_the_whole_is_refused(tiny: str) -> None:
    network = answer_folders.network_of(tiny)
    answer_model.AnswerModel(network, Path(tiny), 1, "cpu")

    def scaled(_module: Any, _inputs: Any, out: Any) -> Any:
        out.logits = out.logits * 0.9
        return out

    network.register_forward_hook(scaled)
    with pytest.raises(ScoreError, match=r"the halves of the model in .* differ from the whole by .* logits; answers"):
        answer_model.AnswerModel(network, Path(tiny), 1, "cpu")


def test_what_is_missing_is_said_with_its_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(files, "cache_folder", lambda: tmp_path)
    with pytest.raises(PlatformError, match=r"is missing on .*; run lakesift encoders get smollm2 there"):
        answer_folders.check("smollm2")

    def absent(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(files.importlib, "import_module", absent)
    with pytest.raises(PlatformError, match=r"run pip install 'lakesift\[torch\]' there"):
        answer_folders.check("smollm2")


def test_a_child_that_is_killed_or_fails(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[subprocess.Popen[str]] = []
    start = subprocess.Popen
    monkeypatch.setattr(
        answer_process.subprocess, "Popen", lambda *a, **k: children.append(start(*a, **k)) or children[-1]
    )
    task = Task(tiny, replace(SMALL, epochs=1000), ROWS, [])

    def kill(phase: str, done: int, _of: int) -> None:
        if (phase, done) == ("train", 2):
            children[-1].send_signal(signal.SIGKILL)

    with pytest.raises(
        ScoreError, match=r"^the training process was killed by signal 9 \(SIGKILL\) after 'train \d+/3"
    ):
        train_in_process(tmp_path / "1", task, progress=kill)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_in_process(tmp_path / "2", task, progress=interrupt)
    assert children[-1].poll() == -signal.SIGKILL
    monkeypatch.setattr(answer_process, "_write_task", lambda work, *_: work.mkdir())
    with pytest.raises(ScoreError, match=r"ended with exit code 1: FileNotFoundError: .*; its log is .*log.txt$"):
        train_in_process(tmp_path / "3", task)


def test_a_child_ends_with_its_parent(tiny: str, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom lakesift.udfs.models.answer_process import *\n"
        "rows = [Row(str(i), 'Say', ' it is so') for i in range(9)]\n"
        f"task = Task({tiny!r}, Training(seed=1, layers=1, epochs=100_000), rows, [])\n"
        f"train_in_process(Path({str(tmp_path)!r}), task, progress=lambda *a: print(*a, flush=True))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        while not parent.stdout.readline().startswith("train"):
            assert parent.poll() is None
        child = int(Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()[0])
        parent.kill()
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split()[2]:
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    raise AssertionError("the child lives on")


def school(name: str, count: int) -> list[Row]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(next(lines)) for _ in range(count)]
    return [Row(f"{name}{i}", f"Question: {r['question']}\nAnswer:", f" {r['answer']}") for i, r in enumerate(rows)]


@pytest.mark.long
@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data/gsm8k beside the checkout")
def test_smollm2_learns_school_mathematics_in_three_rounds(tmp_path: Path) -> None:
    fetched("smollm2")
    rows, held_out, hidden, nll = school("train", 150), school("test", 32), {}, []
    before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    for number in (1, 2, 3):
        asked = [row.id for row in rows[: 50 * number]][:: 2 * number][:24]
        task = Task("smollm2", Training(seed=0), rows[: 50 * number], asked, held_out)
        found = train_in_process(tmp_path / str(number), task, hidden)
        hidden |= found.hidden
        held = found.held_out
        nll += [float((n * held.tokens).sum() / held.tokens.sum()) for n in (held.before, held.after)]
        assert found.losses[-5:].mean() < found.losses[:5].mean()
        assert np.isfinite(found.rewards).all()
        assert found.rss_mb < 4000
        print(  # noqa: T201
            f"  round {number}: held-out nats {nll[-2]:.4f} -> {nll[-1]:.4f}, reward {found.rewards.mean():.3f} sd "
            f"{found.rewards.std():.3f}, {found.rss_mb} MB, seconds",
            {phase: round(s, 1) for phase, s in found.seconds.items()},
        )
    seconds = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before
    kept = np.mean([states.nbytes for states in hidden.values()])
    print(f"  {seconds:.0f} CPU-seconds, {kept / 1e3:.0f} KB of states a row")  # noqa: T201
    assert nll[0] == nll[2] == nll[4]
    assert nll[5] < nll[1] < nll[0]
    assert seconds < 600  # on one thread: the same on the clock of an idle core
