"""A Llama-type model in two halves: lower layers that stay as they are, and the last ones, which are trained.

The states that enter the first trained layer never change, so they are computed once for a row and kept: epochs, rounds
and scores then run the last layers alone. Everything is float32 and one row at a time, so that a row's states and
values are the same bits in any company; rows of 170 tokens took 0.38 CPU-seconds each (SmolLM2, one thread), in batches
of 8 as long. float32 because kept states must give the full model's NLL to 1e-4: bfloat16 moved a row's mean by 7e-4,
float16 by 6e-5, but its range ends at 65 504 and SmolLM2's states reach 20 000.

A sequence is BOS, the prompt's tokens, the completion's tokens, and BOS again as the end, cut at a number of tokens.
Left out: models whose halves do not give the whole (checked when one is opened), chat templates.
"""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Floats, Matrix
from ..errors import ScoreError
from ..kernels.tokens import utf8
from . import causal_torch
from .answer_folders import OTHER, REMEDY, check, folder_of, network_of
from .causal import ids_of, tokenizer


@dataclass(frozen=True)
class Sequence:
    """The tokens of a row.

    Parameters
    ----------
    ids : tuple of int
        BOS, prompt, completion, BOS; cut.
    start : int
        Place of the completion's first token.
    gold : int
        Tokens of the completion that are left after the cut, its end not among them; 0 leaves the row undefined.
    """

    ids: tuple[int, ...]
    start: int
    gold: int


class AnswerModel:
    """An opened model, whose last `layers` layers may be trained in place.

    Parameters
    ----------
    network
        Of transformers, float32, on `device`.
    folder : Path
        Of its tokenizer.
    layers : int
    device : str
    """

    def __init__(self, network: Any, folder: Path, layers: int, device: str) -> None:
        self.torch, self._transformers = causal_torch.requirements()
        self.tokenizer, self.bos = tokenizer(folder, REMEDY)
        self.ends = {self.bos, self.tokenizer.token_to_id("<|im_end|>")}
        self.network, self.device = network.eval().requires_grad_(False), device
        body = network.model
        self._first = len(body.layers) - layers
        self._lower = self._part(body.layers[: self._first], self.torch.nn.Identity())
        self._upper = self._part(body.layers[self._first :], body.norm)
        # Renamed in transformers 5.
        self._held = "cache" if "cache" in inspect.signature(network.forward).parameters else "past_key_values"
        self._check_halves(folder)

    def _part(self, layers: Any, norm: Any) -> Any:
        """Return the model's body with some of its layers; they are the same objects."""
        part = copy.copy(self.network.model)
        part._modules = dict(part._modules)
        part.layers, part.norm = self.torch.nn.ModuleList(layers), norm
        return part

    def _check_halves(self, folder: Path) -> None:
        ids = (self.bos, *range(8))
        with self.torch.inference_mode():
            whole = self.network(input_ids=self._tensor([ids]), use_cache=False).logits[0]
        states = self.torch.tensor(self.lower(Sequence((*ids, self.bos), 1, 8)))
        with self.torch.inference_mode():
            apart = float((self.logits(states, 0) - whole).abs().max())
        if not apart <= 1e-3 * (1 + float(whole.abs().max())):
            raise ScoreError(
                f"the halves of the model in {folder} differ from the whole by {apart:.2g} logits; {OTHER}"
            )

    def _tensor(self, ids: Any) -> Any:
        return self.torch.tensor(ids, device=self.device)

    def read(self, prompt: str, completion: str, most: int) -> Sequence:
        """Return the tokens of a row, cut after `most`; texts that are not UTF-8 leave it undefined."""
        if utf8(prompt) is None or utf8(completion) is None:
            return Sequence((self.bos,), 1, 0)
        asked, told = ids_of(self.tokenizer, prompt), ids_of(self.tokenizer, completion)
        gold = max(0, min(len(told), most - 1 - len(asked)))
        return Sequence((self.bos, *asked, *told, self.bos)[:most], 1 + len(asked), gold)

    def lower(self, row: Sequence) -> Matrix:
        """Return the states (n - 1, d) float32 that enter the first trained layer, of all n tokens but the last."""
        with self.torch.inference_mode():
            states = self._lower(input_ids=self._tensor([row.ids[:-1]]), use_cache=False).last_hidden_state[0]
            found: Matrix = states.float().cpu().numpy()
        return found

    def logits(self, states: Any, since: int) -> Any:
        """Return the logits (n - since, v) after the tokens from `since` on, of states (n, d)."""
        out = self._upper(inputs_embeds=states[None].to(self.device), use_cache=False).last_hidden_state
        return self.network.lm_head(out[0, since:])

    def loss(self, row: Sequence, states: Any) -> Any:
        """Return the negative log-likelihood of each token of the completion and its end, in nats, as a tensor."""
        logits = self.logits(states, row.start - 1).float()
        return self.torch.nn.functional.cross_entropy(logits, self._tensor(row.ids[row.start :]), reduction="none")

    def nll(self, row: Sequence, states: Any) -> Floats:
        """Return what `loss` does, as an array."""
        with self.torch.inference_mode():
            found: Floats = self.loss(row, states).cpu().numpy().astype(np.float64)
        return found

    def generate(self, row: Sequence, tokens: int) -> tuple[str, Floats]:
        """Return the greedy answer to a row's prompt, of at most so many tokens, and their nll in nats, at least one.

        It ends at BOS or <|im_end|>; an empty answer has the nll of that token.
        """
        said: list[int] = []
        nll: list[float] = []
        ids = self._tensor([row.ids[: row.start]])
        held = {self._held: self._transformers.DynamicCache(), "use_cache": True}  # filled in place
        with self.torch.inference_mode():
            while len(said) < tokens:
                out = self.network.model(input_ids=ids, **held).last_hidden_state[0, -1]
                logits = self.torch.log_softmax(self.network.lm_head(out).float(), dim=0)
                token = int(logits.argmax())
                ended = token in self.ends
                if not ended or not said:
                    nll.append(-float(logits[token]))
                if ended:
                    break
                said.append(token)
                ids = self._tensor([[token]])
        return self.tokenizer.decode(said), np.array(nll)

    def trained(self) -> dict[str, Any]:
        """Return the parameters of the last layers by their names in the network's state."""
        own = {id(p) for p in self._upper.layers.parameters()}
        return {name: p for name, p in self.network.named_parameters() if id(p) in own}


def open_model(model: str, layers: int, device: str = "cpu") -> AnswerModel:
    """Return smollm2 or the model of a folder, on one thread; raises what `check` does, ScoreError for other files."""
    torch, _ = causal_torch.requirements()
    check(model, layers)
    if device == "cuda" and not torch.cuda.is_available():
        raise ScoreError("device cuda is asked for, and torch sees no GPU here; set device: cpu")
    return AnswerModel(network_of(model).to(device), folder_of(model), layers, device)
