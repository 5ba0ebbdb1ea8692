"""The pages of a review in a real browser: what is seen, said, printed and asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from helpers_browser import Browser, browser_program
from helpers_review import FRAMES, damaged, rendered
from semblance import review

REPORT, GOOD, LIST, MOVIE = (
    "bad/review/report.html",
    "good/review/report.html",
    "shots.html",
    "w.mp4",
)

# The contrast of every piece of text with what lies beneath it: WCAG 2.2, "contrast ratio".
CONTRAST = """
(() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = rgb => { const [r, g, b] = rgb.map(v => { v /= 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const beneath = node => { for (let e = node; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
  let worst = [99, ''];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; node = walker.nextNode();) {
    if (!node.data.trim()) continue;
    const own = node.parentElement;
    if (own.tagName.toLowerCase() == 'title') continue;
    const style = getComputedStyle(own);
    const ink = parse(own instanceof SVGElement ? style.fill : style.color).slice(0, 3);
    const [a, b] = [light(ink), light(beneath(own))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < worst[0]) worst = [ratio, own.className + ' ' + node.data.slice(0, 40)];
  }
  return worst;
})()
"""

PICTURES = "[...document.images].map(i => [i.complete, i.naturalWidth, i.alt])"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    browser_program()
    here = tmp_path_factory.mktemp("project")
    summary = {
        "failed": {"1002": "frame 1002: the disk is full."},
        "notes": ["A note."],
        "milliseconds": {"infer": {"median": 30.0, "p95": 41.0}},
    }
    for name, make in (("bad", damaged), ("good", rendered)):
        review.review_shot(
            make(here / name), here / name / "review", FRAMES, summary=summary, name=f"sh/{name}"
        )
    review.shot_list(here, here / LIST)
    return here


@pytest.fixture(scope="module")
def browser(folder: Path) -> Iterator[Browser]:
    with Browser(browser_program()) as browser:
        yield browser


@pytest.mark.parametrize("page", [REPORT, GOOD, LIST])
def test_a_page_asks_for_nothing_and_the_browser_has_no_complaint(browser, folder, page):
    browser.open(folder / page)
    asked = [address for address in browser.requests() if not address.startswith("data:")]
    assert asked == [(folder / page).resolve().as_uri()]
    assert browser.complaints() == []
    pictures = browser.run(PICTURES)
    assert pictures
    assert all(complete and width > 0 and words for complete, width, words in pictures)


@pytest.mark.parametrize("page", [REPORT, GOOD, LIST])
@pytest.mark.parametrize("look", ["light", "dark", "print"])
def test_every_text_can_be_read(browser, folder, page, look):
    browser.size(1280)
    browser.prefer("dark" if look != "light" else "light", "print" if look == "print" else "screen")
    browser.open(folder / page)
    ratio, where = browser.run(CONTRAST)
    assert ratio >= 4.5, (ratio, where)
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (look != "dark")


@pytest.mark.parametrize("page", [REPORT, GOOD, LIST])
@pytest.mark.parametrize("width", [320, 800, 1600])
def test_the_page_itself_never_scrolls_sideways(browser, folder, page, width):
    browser.prefer("light", "screen")
    browser.size(width)
    browser.open(folder / page)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("[...document.images].every(i => i.getBoundingClientRect().height > 20)")


def test_a_screen_reader_finds_headings_tables_plots_and_what_they_say(browser, folder):
    browser.open(folder / REPORT)
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    named: dict[str, list[str]] = {}
    for node in nodes:
        if not node.get("ignored"):
            role = node["role"]["value"]
            named.setdefault(role, []).append(node.get("name", {}).get("value", ""))
    assert named["RootWebArea"] == ["Review of sh/bad"]
    assert named["main"]
    assert named["heading"][:3] == ["Review of sh/bad", "What to look at", "The shot"]
    assert len(named["table"]) == 3
    assert "1002" in named["rowheader"]
    assert {"Frame", "What happened", "Seam"} <= set(named["columnheader"])
    pictures = named["image"]
    assert all(pictures)
    assert any(name.startswith("Seam by frame: ") for name in pictures)
    for role in ("region", "link"):
        assert all(named[role]), role


def test_the_worst_is_on_the_first_screen_and_its_link_leads_to_the_frame(browser, folder):
    browser.size(1280, 720)
    browser.open(folder / REPORT)
    rows = "[...document.querySelectorAll('tbody')][0].rows"
    first = browser.run(f"{rows}[0].innerText")
    assert "problem" in first
    assert "the disk is full" in first
    assert browser.run(f"{rows}[0].getBoundingClientRect().bottom") < 720
    browser.run(f"{rows}[0].querySelector('a').click()")
    assert browser.run("document.querySelector(':target').cells[0].innerText") == "1002"


def test_links_lead_to_files_that_are_there(browser, folder):
    for page in (REPORT, LIST):
        browser.open(folder / page)
        links = browser.run("[...document.querySelectorAll('a')].map(a => a.href)")
        files = {Path(link.removeprefix("file://").split("#")[0]) for link in links}
        assert len(files) >= 3
        assert all(path.is_file() for path in files), files


def test_everything_is_on_paper(browser, folder):
    browser.prefer("light", "print")
    browser.size(700)
    browser.open(folder / REPORT)
    clipped = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth)"
    assert browser.run(f"{clipped}.length") == 0
    browser.prefer("light", "screen")
    assert browser.print().startswith(b"%PDF")


def test_the_wipe_movie_plays_in_the_colours_that_went_in(browser, folder):
    size = (640, 360)
    patches = np.zeros((360, 640, 3), np.uint8)
    colours = [(200, 60, 60), (60, 180, 80), (70, 80, 210), (190, 150, 120)]
    for index, colour in enumerate(colours):
        patches[:, 160 * index : 160 * (index + 1)] = colour
    with review.WipeMovie(folder / MOVIE, size=size, count=4) as movie:
        for number in range(4):
            movie.add(number, patches, patches)
    page = folder / "movie.html"
    page.write_text(f"<body style='margin:0'><video src={MOVIE} muted></video>")
    browser.prefer("light", "screen")
    browser.size(700)
    browser.open(page)
    played = browser.run(
        "new Promise(done => { const v = document.querySelector('video');"
        "v.onerror = () => done(v.error.message);"
        "v.onseeked = () => setTimeout(() => done(v.duration), 300); v.currentTime = 0; })"
    )
    assert played == pytest.approx(4 / 24, abs=0.01)
    shown = cv2.imdecode(np.frombuffer(browser.picture(), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    for index, colour in enumerate(colours):
        seen = shown[100:200, 160 * index + 40 : 160 * index + 120].reshape(-1, 3).mean(axis=0)
        # A browser's own integer arithmetic loses up to 8 of a strong blue; another matrix or range
        # would be off by 20 and more.
        np.testing.assert_allclose(seen, colour, atol=8.0)
