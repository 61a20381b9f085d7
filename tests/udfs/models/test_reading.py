"""Files of a model: nothing is read but those of the list, and a file that is exchanged meanwhile is seen."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lakesift.udfs.errors import ScoreError
from lakesift.udfs.models import causal_torch, files, minilm
from lakesift.udfs.models.reading import closed, reading, unchanged

#: What a writable folder may hold beside a model: a configuration that would be followed, code that would be run.
STRANGERS = ("adapter_config.json", "modeling.py", "pytorch_model.bin", "tokenizer_config.json", "sub/config.json")


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def seen(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}


class Loader:
    """Stands for transformers' classes: keeps what it could have read."""

    def __init__(self) -> None:
        self.read: set[str] = set()

    def from_pretrained(self, folder: str, **_: Any) -> Any:
        self.read = seen(Path(folder))
        return SimpleNamespace(float=lambda: "loaded")


def test_a_closed_folder_holds_the_list_and_goes_away(tmp_path: Path) -> None:
    fill(tmp_path, "config.json", "weights/a.safetensors", *STRANGERS)
    with closed(tmp_path, ["config.json", "weights/a.safetensors"]) as place:
        assert seen(place) == {"config.json", "weights/a.safetensors"}
        assert (place / "weights/a.safetensors").read_text() == "weights/a.safetensors"
    assert not place.exists()
    assert seen(tmp_path) == {"config.json", "weights/a.safetensors", *STRANGERS}


def test_transformers_is_shown_the_files_of_the_list_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = Loader()
    fill(tmp_path, *files.MODELS["minilm"].pins, *STRANGERS)
    assert minilm.weights(SimpleNamespace(AutoModel=loader), tmp_path) == "loaded"
    assert loader.read == set(files.MODELS["minilm"].pins)
    monkeypatch.setattr(causal_torch, "requirements", lambda: (None, SimpleNamespace(AutoModelForCausalLM=loader)))
    causal_torch.network(
        fill(tmp_path, "model-2.safetensors", "model.safetensors.index.json", "generation_config.json")
    )
    wanted = {"model-2.safetensors", "model.safetensors.index.json", "generation_config.json"}
    assert loader.read == {*files.MODELS["minilm"].pins, *wanted}


def test_the_index_of_weights_is_part_of_a_folders_identity(tmp_path: Path) -> None:
    fill(tmp_path, "config.json", "tokenizer.json", "model.safetensors", *STRANGERS)
    found = [causal_torch.folder_identity(str(tmp_path))]
    for name in ("README.md", "model.safetensors.index.json"):
        fill(tmp_path, name)
        found.append(causal_torch.folder_identity(str(tmp_path)))
    assert found[0] == found[1] != found[2]


def _rewrite(path: Path) -> None:
    """Write other bytes of the same length, and put the times back, as somebody would who hides it."""
    was = path.stat()
    path.write_text(path.name[::-1])
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def _replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_text(path.read_text())
    other.rename(path)


@pytest.mark.parametrize("change", [_rewrite, _replace, Path.unlink])
def test_a_file_that_is_exchanged_while_it_is_read_is_seen(tmp_path: Path, change: Callable[[Path], Any]) -> None:
    fill(tmp_path, "config.json", "a.safetensors")
    with unchanged(tmp_path, ["config.json", "a.safetensors"]):
        pass
    path = tmp_path / "a.safetensors"
    with (
        pytest.raises(ScoreError, match=r"a\.safetensors on .* was changed while it was read"),
        unchanged(tmp_path, ["config.json", "a.safetensors"]),
    ):
        change(path)


def test_files_are_hashed_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(tmp_path / "tiny-1", "config.json")
    pins = {"config.json": files.sha256(folder / "config.json")}
    monkeypatch.setenv("LAKESIFT_MODELS", str(tmp_path))
    monkeypatch.setitem(files.MODELS, "tiny", files.Model("tiny==1", "tiny", pins, "0" * 64, 1, "MIT", "for tests"))
    with reading("tiny") as place:
        assert place == folder
    (folder / "config.json").write_text("{}")
    with pytest.raises(ScoreError, match="has the SHA-256"), reading("tiny"):
        pass
