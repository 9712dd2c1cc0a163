"""The page of two runs in headless Chromium: it draws, zooms, toggles and sorts, asks for nothing,
and everybody can use it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cluster_sim.loading.files import load_variants
from cluster_sim.report.page import write
from cluster_sim.sim.simulate import simulate
from tests.machines import TWO_GPUS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.slow]

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCENARIO = (
    """
# Which of the two is better?
name: small"""
    + TWO_GPUS
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with api.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield running
        running.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    (folder / "small.yaml").write_text(SCENARIO.lstrip())
    return write(
        folder / "small.html",
        [simulate(scenario) for scenario in load_variants(folder / "small.yaml")],
        question="Which of the two is better?",
    )


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Page]:
    """The page at 1600 pixels; it fails where the page complains or asks for anything but itself."""
    opened = browser.new_page(viewport={"width": 1600, "height": 900})
    complaints: list[str] = []
    asked: list[str] = []
    opened.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(report.as_uri())
    opened.wait_for_selector("html[data-ready=yes]")
    yield opened
    opened.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]


INK = """canvas => { const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height); const seen = {};
for (let at = 0; at < data.length; at += 4) if (data[at + 3] > 200) { const key = [data[at], data[at + 1], data[at + 2]].join(); seen[key] = (seen[key] || 0) + 1; }
return seen; }"""
BLUE, ORANGE = "0,114,178", "213,94,0"


def ink(page: Page, chart: str) -> dict[str, int]:
    """Pixels of each colour in a chart."""
    found: dict[str, int] = page.locator(f"{chart} canvas").evaluate(INK)
    return found


FIRST = "[data-group=latency][data-chart='0']"


def test_every_chart_is_drawn_and_a_run_that_is_switched_off_leaves_them_all(page: Page) -> None:
    charts, canvases = page.locator(".chart").count(), page.locator(".chart canvas").count()
    assert charts == canvases == 21
    before = ink(page, FIRST)
    assert before[BLUE] > 100
    assert before[ORANGE] > 100
    for number in range(charts):
        drawn = page.locator(".chart canvas").nth(number).evaluate(INK)
        assert sum(drawn.values()) > 500, number
    page.locator("[data-toggles='1']").uncheck()
    page.wait_for_timeout(50)
    after = ink(page, FIRST)
    assert after[BLUE] > 100
    assert after.get(ORANGE, 0) == 0
    assert not page.locator("#headlines tbody tr").nth(1).is_visible()
    assert not page.locator("[data-group=phases][data-chart='1']").is_visible()
    page.locator("[data-toggles='1']").check()
    page.wait_for_timeout(50)
    assert ink(page, FIRST)[ORANGE] > 100


def test_a_table_sorts_up_and_down_and_says_so(page: Page) -> None:
    head = page.locator("#headlines th").filter(has_text="TTFT p99")
    button = head.locator("button")
    place = head.evaluate("cell => cell.cellIndex")

    def numbers() -> list[float]:
        found: list[float] = page.locator("#headlines tbody tr").evaluate_all(
            f"rows => rows.map(row => Number(row.cells[{place}].dataset.value))"
        )
        return found

    button.click()
    assert numbers() == sorted(numbers())
    assert head.get_attribute("aria-sort") == "ascending"
    button.press("Enter")
    assert numbers() == sorted(numbers(), reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    assert "sorted by TTFT p99 [ms]" in (page.locator("#said").text_content() or "")


def test_charts_over_time_are_zoomed_together_by_mouse_and_by_keys(page: Page) -> None:
    plots = page.locator("[data-group=over-time] .plot")
    plots.first.scroll_into_view_if_needed()
    box = page.locator("[data-group=over-time] .u-over").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 150, box["y"] + 60, steps=4)
    page.mouse.up()
    page.wait_for_timeout(50)
    zoomed = plots.evaluate_all("all => all.map(one => one.dataset.zoomed)")
    assert zoomed == ["yes"] * len(zoomed)
    assert len(zoomed) == 7
    plots.nth(2).focus()
    page.keyboard.press("0")
    page.wait_for_timeout(50)
    assert set(plots.evaluate_all("all => all.map(one => one.dataset.zoomed)")) == {"no"}
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(50)
    assert plots.nth(0).get_attribute("data-zoomed") == "yes"
    read = page.locator("[data-group=over-time] .readout").nth(2)
    assert read.get_attribute("aria-live") == "polite"
    assert "simulated time [s]" in (read.text_content() or "")


def test_hovering_tells_the_values_and_a_table_has_them_for_those_who_do_not_see(
    page: Page,
) -> None:
    page.locator(f"{FIRST} .u-over").hover()
    text = page.locator(f"{FIRST} .readout").text_content() or ""
    assert text.startswith("h100 ")
    assert "at TTFT [ms]" in text
    page.locator(f"{FIRST} summary").click()
    page.locator(f"{FIRST} details th[scope=col]").first.wait_for()  # it is made as it opens
    heads = page.locator(f"{FIRST} details th[scope=col]").all_text_contents()
    assert heads == ["TTFT [ms]", "h100: within this latency [%]", "a100: within this latency [%]"]
    last = page.locator(f"{FIRST} details tbody tr").last.locator("td").all_text_contents()
    assert last == ["100", "100"]


@pytest.mark.parametrize("width", [400, 1600])
def test_text_is_readable_and_nothing_hangs_over_the_edge(width: int, page: Page) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = page.evaluate(
        "[...document.querySelectorAll('main *')].filter(one => one.childNodes.length && [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim())"
        " && one.offsetParent && parseFloat(getComputedStyle(one).fontSize) < 12).map(one => one.outerHTML.slice(0, 80))"
    )
    assert small == []
    widths = page.locator(".chart canvas").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect().width)"
    )
    assert all(300 <= one <= width for one in widths)


def test_there_is_nothing_serious_in_the_way_of_anybody(page: Page) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    )
    page.evaluate(
        "document.querySelectorAll('#latency details, #scenario details').forEach(one => { one.open = true; })"
    )
    page.wait_for_timeout(100)
    found: list[dict[str, Any]] = axe.Axe().run(page).response["violations"]
    assert [
        (one["id"], one["nodes"][0]["html"][:120])
        for one in found
        if one["impact"] in ("serious", "critical")
    ] == []


def test_a_printed_page_has_its_charts_and_tables_and_none_of_its_buttons(page: Page) -> None:
    page.emulate_media(media="print")
    assert not page.locator(".runs").is_visible()
    assert not page.locator(".tools").first.is_visible()
    assert page.locator(f"{FIRST} canvas").is_visible()
    assert page.locator("#headlines").is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")
