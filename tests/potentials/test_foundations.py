from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("torch")

from hea_flows.potentials import foundations
from hea_flows.potentials.foundations import Foundation
from hea_flows.potentials.model_files import ModelFile, ModelFileError
from hea_flows.schemas import ModelSpec, Promised

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves one file; the path says what goes wrong."""

    def do_GET(self) -> None:
        if self.path.endswith("gone.pt"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: 100 if self.path.endswith("half.pt") else None])

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/models"
    server.shutdown()
    server.server_close()


def locate(known: dict[str, Foundation], name: str, **more: Any) -> ModelFile:
    return foundations.locate(ModelSpec(family="toy", name=name, **more), "Toy", known)


def test_a_name_without_a_published_checksum_is_refused_once(address: str, tmp_path: Path) -> None:
    """The line says what the download measures, and what to write if it is trusted."""
    cache = tmp_path / "cache"
    path = cache / "toy-tiny.pt"
    expected = (
        "toy model 'tiny' has no published checksum; if you trust where it comes from, write "
        f"model: {{family: toy, name: tiny, sha256: {SHA256}}}"
    )
    for url in (address, "http://127.0.0.1:9"):  # the second time there is no second download
        known = {"tiny": Foundation(f"{url}/toy-tiny.pt", str(cache))}
        with pytest.raises(ModelFileError) as caught:
            locate(known, "tiny")
        assert str(caught.value) == expected
        assert path.read_bytes() == CONTENT
        # who put the file there could have put a checksum beside it
        (cache / "toy-tiny.pt.sha256").write_text(SHA256)
    given = yaml.safe_load(expected.partition("write ")[2])["model"]
    file = locate(known, **{k: v for k, v in given.items() if k != "family"})
    assert (file.path, file.promised) == (path, SHA256)
    assert file.resolved() == ModelSpec.model_validate(given)
    path.write_bytes(CONTENT + b" ")
    with pytest.raises(ModelFileError, match=f"{SHA256} was expected; not loaded"):
        file.resolved()


def test_a_promised_checksum_comes_before_the_published(address: str, tmp_path: Path) -> None:
    published = Promised("ab" * 32)
    known = {"tiny": Foundation(f"{address}/toy-tiny.pt", str(tmp_path), published)}
    assert locate(known, "tiny").promised == published
    assert locate(known, "tiny", sha256="cd" * 32).promised == "cd" * 32
    assert [p.name for p in tmp_path.iterdir()] == ["toy-tiny.pt"]


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("gone.pt", "HTTP Error 404"),
        ("half.pt", r"IncompleteRead\(100 bytes read, 6900 more"),
        (None, "Connection refused"),
    ],
)
def test_what_cannot_be_downloaded_is_one_line_and_leaves_nothing(
    address: str, tmp_path: Path, file: str | None, reason: str
) -> None:
    url = f"{address}/{file}" if file else "http://127.0.0.1:9/off.pt"
    with pytest.raises(FileNotFoundError, match=reason) as caught:
        locate({"tiny": Foundation(url, str(tmp_path / "cache"))}, "tiny")
    said = str(caught.value)
    assert said.startswith("Toy model 'tiny' is not in the cache and could not be downloaded (")
    assert said.endswith(f"; get {url} and give its path and sha256")
    assert "\n" not in said
    assert not (tmp_path / "cache").exists()


def test_a_path_needs_no_network_and_an_unknown_name_lists_the_known() -> None:
    spec = ModelSpec(family="toy", path="here.pt", sha256="ef")
    assert foundations.locate(spec, "Toy", {}) == ModelFile(spec, Path("here.pt"), spec.sha256)
    known = {name: Foundation("http://127.0.0.1:9/x", "~") for name in ("one", "two")}
    with pytest.raises(ValueError, match=r"^unknown Toy model 'three'; accepted: one, two, or a"):
        locate(known, "three")


@pytest.mark.skipif(find_spec("nequix") is None, reason="Nequix itself is not installed")
def test_nequix_names_are_those_of_nequix_itself() -> None:
    from nequix.calculator import NequixCalculator

    from hea_flows.potentials.nequix.family import FOUNDATIONS

    ours = {f"nequix-{name}": foundation.url for name, foundation in FOUNDATIONS.items()}
    assert ours == NequixCalculator.URLS
    cache = Path("~/.cache/nequix/models").expanduser()
    assert FOUNDATIONS["mp-1"].path == cache / "nequix-mp-1.nqx"


@pytest.mark.skipif(find_spec("mattersim") is None, reason="mattersim is not installed")
def test_mattersim_names_are_those_of_mattersim_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from mattersim.forcefield.potential import Potential
    from mattersim.utils import download_utils

    from hea_flows.potentials.mattersim import FOUNDATIONS

    monkeypatch.setenv("HOME", str(tmp_path))
    asked = []
    monkeypatch.setattr(
        download_utils, "download_file", lambda url, path: asked.append((url, path))
    )
    for name in ("MatterSim-v1.0.0-1M", "MatterSim-v1.0.0-5M"):
        with pytest.raises(AssertionError, match="not found"):
            Potential.from_checkpoint(name, device="cpu")
    assert asked == [(f.url, str(f.path)) for f in FOUNDATIONS.values()]
