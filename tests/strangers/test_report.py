"""The report's page in headless Chromium: what a person sees, clicks, types, prints and reads on a telephone."""

import base64
import io
import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from local_aws import CHECKOUT, TARGET, example, host, served

# A page of a file asks nobody for anything; these keep the browser itself from asking for updates.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]
MANY = 500
UNLUCKY = "i-0000000000000000b"
CANARIES = {"i-00000000000000001", "i-00000000000000008"}
STOPPED, LAUNCHED, RESTORED = "i-00000000000000007", "i-0000000000000000d", "i-00000000000000004"
LEFT = "i-00000000000000005"
WIDE, NARROW = 1280, 390
PATIENCE_SECONDS = 20


@dataclass
class Report:
    """A page and the story that it holds."""

    path: Path
    hosts: int

    @property
    def url(self) -> str:
        return self.path.as_uri()

    def story(self) -> dict:
        text = self.path.read_text().split('id="story">')[1].split("</script>")[0]
        return json.loads(text)


def rotated(folder: Path, fleet: dict) -> Report:
    """The page that `sandbox rotate` writes for a fleet."""
    program, page, file = TARGET / "debug/sandbox", folder / "report.html", folder / "fleet.json"
    file.write_text(json.dumps(fleet))
    settings = CHECKOUT / "tests/sandbox/examples/settings.json"
    arguments = [program, "rotate", "--fleet", file, "--settings", settings, "--report", page]
    done = subprocess.run(arguments, check=False, capture_output=True, text=True, timeout=600, cwd=CHECKOUT)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return Report(page, len(fleet["hosts"]))


@pytest.fixture(scope="module")
def dozen(tmp_path_factory) -> Report:
    """The README's example, as `make try` runs it."""
    return rotated(tmp_path_factory.mktemp("dozen"), example("life-of-a-fleet"))


@pytest.fixture(scope="module")
def hundreds(tmp_path_factory) -> Report:
    """Two regions, a few hosts of which are out of order; eight days later somebody asks for the plan."""
    hosts = [host(n, "eu-west-1" if n <= MANY // 2 else "us-east-1", name=f"sql-{n:03}") for n in range(1, MANY + 1)]
    hosts[39]["unreachable"] = hosts[299]["unreachable"] = True
    hosts[76]["stopped"] = hosts[309]["stopped"] = True
    hosts[119]["sqlServers"] = [{"refusedBackups": 1}]
    plan = {"say": "Eight days later somebody asks what would be done.", "days": 8, "run": {"mode": "plan"}}
    return rotated(tmp_path_factory.mktemp("hundreds"), example("fleet") | {"hosts": hosts, "story": [plan]})


@pytest.fixture(scope="module")
def chromium():
    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in [*FLAGS, f"--window-size={WIDE},1000", f"--user-data-dir={profile}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
        yield Browser(driver)
        driver.quit()


class Browser:
    """Chromium, as these tests look at it."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, report: Report, width: int = WIDE, theme: str = "light"):
        look = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", look)
        self.size(width, 1000)
        self.driver.get_log("performance")
        self.driver.get(report.url)
        self.until(lambda: self.all(".lane.key"))

    def size(self, width: int, height: int):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.until(lambda: self.run("return [innerWidth, innerHeight]") == [width, height])

    def until(self, question):
        return WebDriverWait(self.driver, PATIENCE_SECONDS).until(lambda _: question())

    def run(self, script: str, *arguments):
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str):
        found = self.all(selector)
        assert len(found) == 1, f"{len(found)} of {selector}"
        return found[0]

    def lanes(self) -> list[str]:
        return self.run("return [...document.querySelectorAll('.lane.host')].map((lane) => lane.dataset.host)")

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]

    def overflow(self) -> int:
        return self.run("return document.documentElement.scrollWidth - innerWidth")

    def picture(self, name: str, width: int) -> Image.Image:
        """The whole page, kept for whoever wants to look at it."""
        self.size(width, 1000)
        self.size(width, self.run("return Math.min(document.documentElement.scrollHeight, 9000)"))
        png = self.driver.get_screenshot_as_png()
        folder = TARGET / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"report-{name}.png").write_bytes(png)
        return Image.open(io.BytesIO(png)).convert("RGB")


def test_the_page_is_drawn_without_a_complaint_and_asks_nobody_for_anything(chromium, dozen, hundreds):
    for report in (dozen, hundreds):
        chromium.open(report)
        chromium.all(".execution > summary")[0].click()
        chromium.until(lambda: chromium.all(".step"))
        asked = [url for url in chromium.requests() if not url.startswith("data:")]
        assert asked == [report.url]
        assert chromium.complaints() == []
        assert chromium.one(".verdict").text == "Everything held."


def test_five_hundred_hosts_make_no_large_file(hundreds):
    assert hundreds.path.stat().st_size < 5_000_000


def test_every_host_has_a_lane(chromium, dozen, hundreds):
    chromium.open(dozen)
    assert sorted(chromium.lanes()) == sorted(entry["id"] for entry in dozen.story()["hosts"])

    chromium.open(hundreds)
    out_of_order = {f"i-{number:017x}" for number in (40, 77, 120, 300, 310)}
    assert set(chromium.lanes()) == out_of_order, "at first only those that ask for a look"
    assert len(chromium.all(".stack-track polygon")) >= 4, "and all of a region as one area for each key"
    while closed := chromium.all(".more button[aria-expanded=false]"):
        closed[0].click()
    assert len(set(chromium.lanes())) == len(chromium.lanes()) == hundreds.hosts


def test_a_lane_shows_what_its_host_held_and_when(chromium, dozen):
    story = dozen.story()
    chromium.open(dozen)
    colours = {key["id"]: f"var(--key-{place})" for place, key in enumerate(story["keys"])}
    script = """return [...document.querySelectorAll(`[data-host="${arguments[0]}"] .held`)].map((bar) =>
        [bar.style.getPropertyValue("--colour"), bar.getBoundingClientRect().left])"""
    for entry in story["hosts"]:
        bars = chromium.run(script, entry["id"])
        for strip in entry["strips"]:
            held = [colours[span["is"]] for span in strip["spans"]]
            shown = [colour for colour, _ in bars]
            assert set(shown) == {colour for s in entry["strips"] for colour in [colours[x["is"]] for x in s["spans"]]}
            assert all(colour in shown for colour in held)
        if len(entry["strips"]) == 1:
            assert [left for _, left in bars] == sorted(left for _, left in bars), "in the order of time"
    assert marked(chromium, "failed") == {UNLUCKY, *CANARIES}
    assert len(chromium.all(f'[data-host="{UNLUCKY}"] use[href="#failed"]')) == 1


def marked(chromium, mark: str, subject: str = "host") -> set[str]:
    """The hosts, or the keys, whose lanes bear a mark."""
    script = """return [...document.querySelectorAll(`.lane.${arguments[1]} use[href="#${arguments[0]}"]`)].map(
        (mark) => mark.closest(".lane").dataset[arguments[1]])"""
    return set(chromium.run(script, mark, subject))


def test_what_people_and_ec2_do_stands_on_the_lanes_and_in_the_legend(chromium, dozen):
    chromium.open(dozen)
    acts = {"started": STOPPED, "launched": LAUNCHED, "restored": RESTORED, "tagLost": LEFT, "terminated": LEFT}
    for mark, where in acts.items():
        assert marked(chromium, mark) == {where}, mark
        assert len(chromium.all(f'.legend use[href="#{mark}"]')) == 1, mark
    _, leaked, _, abandoned = (key["id"] for key in dozen.story()["keys"])
    assert marked(chromium, "leaked", "key") == {leaked}
    assert marked(chromium, "abandoned", "key") == {abandoned}

    edges = """const bars = [...document.querySelectorAll(`[data-host="${arguments[0]}"] .held`)].map((bar) =>
        bar.getBoundingClientRect()); return [bars[0].left, bars[bars.length - 1].right]"""
    (begin, end), (launched, _), (_, terminated) = (
        chromium.run(edges, host) for host in ("i-00000000000000001", LAUNCHED, LEFT)
    )
    assert launched > begin + 200, "a lane begins at the launch"
    assert terminated < end - 200, "and ends at the termination"
    strays = "return [...document.querySelectorAll('.host .left, .host .outside')].map((bar) => bar.className)"
    assert chromium.run(strays) == ["bar held left", "bar held outside"]


def test_each_chapter_stands_above_its_execution(chromium, dozen):
    chromium.open(dozen)
    told = """return [...document.querySelectorAll('.chapter')].map((text) =>
        [text.textContent, text.nextSibling.dataset.execution])"""
    chapters = enumerate(example("life-of-a-fleet")["story"], start=2)
    assert chromium.run(told) == [[chapter["say"], f"execution-{number}"] for number, chapter in chapters]
    failed = chromium.one(".status.failed")
    assert failed.text == "failed, as told"
    assert len(chromium.all(".run.failed")) == 1, "the longer one of two that lie on each other is drawn"


def test_a_click_on_a_host_tells_its_course_in_words(chromium, dozen):
    chromium.open(dozen)
    chromium.one(f'[data-host="{UNLUCKY}"] .name').click()
    course = chromium.one(f'[data-course="{UNLUCKY}"]').text
    told = ["held AKIASANDBOXCURRENT00", "answered failed: ProofFailed at localhost", "holds AKIA", "proved version"]
    places = [course.index(part) for part in told]
    assert places == sorted(places), course
    chromium.one(f'[data-host="{UNLUCKY}"] .name').click()
    assert chromium.all("[data-course]") == []


def test_an_execution_opens_to_its_states_in_order_and_each_to_its_input(chromium, dozen):
    story = dozen.story()
    chromium.open(dozen)
    item = chromium.one('[data-execution="execution-1"]')
    item.find_element(By.CSS_SELECTOR, "summary").click()
    names = "return [...arguments[0].querySelectorAll('.steps > li')].map((step) => step.dataset.state)"
    chromium.until(lambda: chromium.run(names, item))
    assert chromium.run(names, item) == [step["name"] for step in story["executions"][0]["steps"]]

    state = item.find_element(By.CSS_SELECTOR, '[data-state="PollCommand"] .step')
    assert chromium.all("pre") == []
    state.click()
    figures = {f.find_element(By.TAG_NAME, "figcaption").text: f for f in chromium.all(".payload")}
    payloads = {title: json.loads(figure.find_element(By.TAG_NAME, "pre").text) for title, figure in figures.items()}
    assert payloads["Input"]["settings"]["user"] == "sql-backups-user"
    assert payloads["Input"]["place"]["region"] == "eu-west-1"
    assert payloads["Its answer"]["outcome"] == payloads["Output"]["command"]["outcome"]
    state.click()
    assert chromium.all("pre") == []

    choice = '[data-execution="execution-1"] [data-state="IsKeyAccepted"]'
    assert not chromium.all(choice)[0].is_displayed(), "what takes no time is left out at first"
    item.find_element(By.CSS_SELECTOR, ".silent-states").click()
    assert chromium.all(choice)[0].is_displayed()


def test_the_search_narrows_the_lanes(chromium, hundreds):
    chromium.open(hundreds)
    search = chromium.one("#search")
    search.send_keys("sql-31")
    assert chromium.lanes() == [f"i-{number:017x}" for number in range(310, 320)]
    assert chromium.one(".found").text == "10 of 500 hosts"
    search.send_keys(Keys.BACKSPACE * 6, "us-east")
    assert len(chromium.lanes()) == MANY // 2
    search.send_keys(Keys.BACKSPACE * 7, "no such host")
    assert chromium.lanes() == []
    search.send_keys(Keys.BACKSPACE * 12)
    chromium.one("#incidents").click()
    assert len(chromium.lanes()) == 5


def test_everything_can_be_done_with_the_keyboard(chromium, dozen):
    chromium.open(dozen)
    reached = {}
    for _ in range(60):
        ActionChains(chromium.driver).send_keys(Keys.TAB).perform()
        focused = chromium.driver.switch_to.active_element
        kind = focused.get_attribute("data-focus") or focused.get_attribute("id") or focused.tag_name
        reached.setdefault(kind.split(" ")[0], focused)
        if kind == f"host {UNLUCKY}":
            focused.send_keys(Keys.ENTER)
            assert chromium.one(f'[data-course="{UNLUCKY}"]').is_displayed()
            again = chromium.driver.switch_to.active_element
            assert again.get_attribute("data-focus") == kind, "the focus stays where it was"
            continue
        if focused.tag_name == "summary":
            focused.send_keys(Keys.ENTER)
            break
    assert {"search", "incidents", "day", "run", "host", "summary"} <= reached.keys()
    chromium.until(lambda: chromium.all(".step"))


def test_a_date_is_looked_at_closely_and_left_again(chromium, dozen):
    chromium.open(dozen)
    width = "return document.querySelectorAll('.run')[arguments[0]].getBoundingClientRect().width"
    whole = [chromium.run(width, 0), chromium.run(width, 1)]
    chromium.all(".day")[0].click()
    assert chromium.run(width, 0) > 2 * whole[0] and chromium.run(width, 1) < whole[1]
    chromium.one(".day[aria-pressed=true]").click()
    assert [chromium.run(width, 0), chromium.run(width, 1)] == whole


def test_the_pointer_tells_what_was_so_at_its_moment(chromium, dozen):
    chromium.open(dozen)
    track = chromium.one('[data-host="i-00000000000000001"] .track')
    edge = track.size["width"] // 2
    last = next(key["id"] for key in dozen.story()["keys"] if key["spans"][-1]["is"] == "current")
    for offset, key in ((-edge + 2, "AKIASANDBOXCURRENT00"), (edge - 2, last)):
        ActionChains(chromium.driver).move_to_element_with_offset(track, offset, 0).perform()
        assert chromium.one("#hint").is_displayed()
        assert f"holds {key}" in chromium.one("#hint").text


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_nothing_is_wider_than_the_screen(chromium, dozen, hundreds, width):
    for report in (dozen, hundreds):
        chromium.open(report, width)
        assert chromium.overflow() <= 0
        for summary in chromium.all(".execution > summary"):
            chromium.run("arguments[0].click()", summary)
        chromium.until(lambda: chromium.all(".step"))
        for button in (chromium.all(".step")[0], chromium.all(".host .name")[0]):
            chromium.run("arguments[0].click()", button)
        assert chromium.all("pre") and chromium.all("[data-course]")
        assert chromium.overflow() <= 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_its_pictures_show_both_keys_in_light_and_dark(chromium, dozen, hundreds, theme):
    for name, report, width in (("12", dozen, WIDE), ("500", hundreds, WIDE), ("12-narrow", dozen, NARROW)):
        chromium.open(report, width, theme)
        picture = chromium.picture(f"{name}-{theme}", width)
        colours = {colour: count for count, colour in picture.getcolors(1 << 24)}
        paper = max(colours, key=colours.get)
        assert (sum(paper) > 600) == (theme == "light"), f"the paper is {paper}"
        for key in report.story()["keys"]:
            if "current" not in {span["is"] for span in key["spans"]}:
                continue
            bar = f'[data-key="{key["id"]}"] .current'
            colour = chromium.run("return getComputedStyle(document.querySelector(arguments[0])).backgroundColor", bar)
            red, green, blue = (int(part) for part in colour[4:-1].split(","))
            assert colours.get((red, green, blue), 0) > 500, f"{bar} is not in the picture"


def test_it_prints(chromium, dozen):
    chromium.open(dozen)
    printed = chromium.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": False, "landscape": True})
    pdf = base64.b64decode(printed["data"])
    assert pdf.startswith(b"%PDF") and len(pdf) > 20_000
    (TARGET / "tmp/report-12.pdf").write_bytes(pdf)


def test_a_served_world_gives_its_page_at_any_time(chromium, tmp_path):
    fleet = example("fleet") | {"hosts": [host(1), host(2)], "story": []}
    with served(tmp_path, fleet, example("settings")) as world:

        def page(name: str) -> Report:
            with urlopen(f"{world.url}/sandbox/report", timeout=60) as answer:
                (tmp_path / name).write_bytes(answer.read())
            return Report(tmp_path / name, 2)

        before = page("before.html")
        world.run("first-by-hand")
        after = page("after.html")
    chromium.open(before)
    assert chromium.all(".execution") == []
    chromium.open(after)
    assert chromium.one(".execution .title").text == "first-by-hand"
    assert len(chromium.lanes()) == 2 and len(chromium.all(".lane.key")) == 2
    assert chromium.complaints() == []
