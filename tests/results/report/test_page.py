from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hea_flows.results.report.page import build_page, cards, sections
from hea_flows.results.store import CampaignDocuments
from hea_flows.schemas import BenchmarkDoc

VOID = {"meta", "link", "img", "br", "hr", "input"}
CHROMIUM = next(
    (p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None
)


class Page(HTMLParser):
    """Collect what a page holds; an unbalanced tag is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def html(inputs: CampaignDocuments) -> str:
    return build_page(inputs)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_nothing_is_loaded_from_elsewhere(html: str, page: Page) -> None:
    links = [
        v
        for _, attrs in page.tags
        for k, v in attrs.items()
        if k in ("src", "href", "srcset", "action", "data", "poster")
    ]
    assert len(links) > 8
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not page.all("script")
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    [policy] = [m["content"] for m in page.all("meta") if "http-equiv" in m]
    assert policy.startswith("default-src 'none'")
    for image in page.all("img"):  # nor do the figures themselves
        svg = base64.b64decode(image["src"].partition("base64,")[2]).decode()
        assert not re.search(r"(?:href|src)=\"(?!#|data:)", svg)


def test_every_figure_is_numbered_and_described(page: Page) -> None:
    images = page.all("img")
    assert len(images) == len(page.all("figure")) > 0
    assert all(len(i["alt"]) > 40 for i in images)
    assert re.findall(r"Figure (\d+)\.", page.text) == [str(i + 1) for i in range(len(images))]
    alts = " ".join(i["alt"] for i in images)
    assert "20.00 meV/unit before and 2.50 meV/unit after" in alts
    assert "strongest at 200 K: Mo-V 0.120." in alts


def test_contents_lead_to_every_section(page: Page) -> None:
    ids = [a["id"] for a in page.all("section")]
    assert ids == ["accuracy", "training", "order", "thermodynamics", "problems", "provenance"]
    assert [a["href"] for a in page.all("a")][1:] == [f"#{i}" for i in ids]
    assert len({a["id"] for _, a in page.tags if "id" in a}) == len(
        [1 for _, a in page.tags if "id" in a]
    )


def test_every_table_has_a_caption_and_scoped_headings(page: Page) -> None:
    assert len(page.all("table")) == len(page.all("caption")) > 0
    assert all(th.get("scope") in ("col", "row") for th in page.all("th"))


def test_headline_numbers_are_on_the_cards(inputs: CampaignDocuments) -> None:
    error, temperature, deed, labels = cards(inputs)
    assert (error.value, error.unit) == ("20.0 → 2.5", "meV/unit")
    assert error.note == (
        "foundation → fine-tuned, on 14 and 15 held-out PBE labels, relaxed; 8.0 times smaller"
    )
    assert (temperature.value, temperature.unit) == ("594", "K")
    assert (deed.value, deed.unit) == ("253", "(eV/atom)⁻¹")
    assert labels.value == "50"
    assert labels.note.startswith("150 labelled frames; 2 structures")


def test_the_card_of_the_temperature_has_its_interval(surer: CampaignDocuments) -> None:
    _, temperature, _, _ = cards(surer)
    assert temperature.note.endswith(
        "95 % interval 480 to 730 K from a mixing-energy error of 2.50 meV/unit"
    )
    assert "the band the 95 % interval of the last one" in build_page(surer)


def test_a_model_that_got_worse_is_called_worse(inputs: CampaignDocuments) -> None:
    before, after = inputs.benchmarks
    swapped = [
        before.model_copy(update={"tables": after.tables}),
        after.model_copy(update={"tables": before.tables}),
    ]
    [card, *_] = cards(replace(inputs, benchmarks=swapped))
    assert card.value == "2.5 → 20.0"
    assert card.note.endswith("8.0 times larger")


def test_provenance_names_checksums_seeds_and_the_campaign_file(
    inputs: CampaignDocuments, page: Page
) -> None:
    for expected in (
        inputs.campaign.config_sha256,
        "c0ffee00-0000-4000-8000-000000000000",
        "split seed: 42",
        "seed: 9",
        "settings id: 0123456789ab",
        "elements: [Mo, Ta, Nb, W, V]",
        inputs.trainings[0].model.sha256,
        "50 converged, 1 failed, 1 missing",
    ):
        assert expected in page.text


def test_what_users_write_is_escaped(inputs: CampaignDocuments) -> None:
    evil = "<script>alert(1)</script>\"'&"
    campaign = inputs.campaign.model_copy(update={"name": evil, "config": f"</pre>{evil}"})
    benches: list[BenchmarkDoc] = []
    for b in inputs.benchmarks:
        tables = [t.model_copy(update={"reference": evil + "$\\frac"}) for t in b.tables]
        benches.append(b.model_copy(update={"tables": tables, "failed": {evil: evil}}))
    html = build_page(replace(inputs, campaign=campaign, benchmarks=benches))
    page = Page(html)
    assert not page.all("script")
    assert "<script" not in html
    assert page.text.count(evil) >= 4
    assert f"</pre>{evil}" in page.text


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw the figures but do not render them, which takes nearly all the time."""
    monkeypatch.setattr("hea_flows.results.report.page.data_uri", lambda figure: "data:,")


def test_a_page_of_nothing_is_a_page() -> None:
    page = Page(build_page(CampaignDocuments()))
    assert [a["id"] for a in page.all("section")] == ["problems", "provenance"]
    assert "Nothing is missing" in page.text
    assert page.all("img") == []


@pytest.mark.parametrize(
    "kind",
    ["structures", "labels", "datasets", "trainings", "benchmarks", "montecarlo", "thermodynamics"],
)
def test_each_kind_may_be_missing_or_alone(
    quick: None, inputs: CampaignDocuments, kind: str
) -> None:
    Page(build_page(replace(inputs, **{kind: []})))
    Page(build_page(CampaignDocuments(**{kind: getattr(inputs, kind)})))


def test_chains_of_two_energies_get_a_figure_each(quick: None, inputs: CampaignDocuments) -> None:
    [doc] = inputs.montecarlo
    both = replace(inputs, montecarlo=[doc, doc.model_copy(update={"mode": "relaxed"})])
    [order] = [s for s in sections(both) if s.id == "order"]
    assert ["fixed lattice" in p.caption for p in order.pictures] == [True, False]
    assert ["relaxed" in t.caption for t in order.tables] == [False, False, True, True]


def test_the_same_documents_give_the_same_page(inputs: CampaignDocuments, html: str) -> None:
    assert build_page(inputs) == html


PROBE = """<script>
addEventListener('error', e => document.body.dataset.error = e.message);
addEventListener('load', () => {
  const images = [...document.images];
  document.body.dataset.images = images.length;
  document.body.dataset.broken = images.filter(i => !i.complete || i.naturalWidth === 0).length;
  document.body.dataset.wide = document.documentElement.scrollWidth - innerWidth;
});
</script></body>"""


def browse(path: Path, profile: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        f"--user-data-dir={profile}",
        "--enable-logging=stderr",
        "--v=0",
        "--virtual-time-budget=20000",
        *options,
        path.as_uri(),
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            out, err = process.communicate(timeout=90)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH to open the report in")
@pytest.mark.skipif(sys.platform != "linux", reason="Chromium is driven on Linux only")
def test_report_opens_in_a_browser(inputs: CampaignDocuments, html: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(html, encoding="utf-8")
    seen = browse(path, tmp_path / "plain", "--dump-dom")
    assert "CONSOLE" not in seen.stderr  # neither errors nor refused loads
    dom = Page(seen.stdout)
    for expected in ("20.0 → 2.5", "594", "253", "0.120 ± 0.003", "no archived label"):
        assert expected in dom.text

    probed = tmp_path / "probed.html"  # the page forbids scripts, so the probe lifts that
    without_policy = re.sub(r"<meta http-equiv[^>]*>", "", html)
    probed.write_text(without_policy.replace("</body>", PROBE), encoding="utf-8")
    seen = browse(probed, tmp_path / "probed", "--dump-dom", "--window-size=1280,900")
    [body] = Page(seen.stdout).all("body")
    assert body == {"data-images": str(html.count("<img")), "data-broken": "0", "data-wide": "0"}
