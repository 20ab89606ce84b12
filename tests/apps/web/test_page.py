"""The page in a browser, against the real server."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from apps.web.conftest import IMAGES, finish, running, send, serving
from core.made_files import jpeg_bytes, scene
from doctored.apps.file_parser import FileParser

FORGED = IMAGES / "splicing.jpg"
MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture
def open_page(browser):
    """Opens pages in contexts of their own; afterwards none of them has asked another machine or met an error."""
    contexts, requests, errors = [], [], []

    def open_page(url, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        context.on("request", lambda request: requests.append((url, request.url)))
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("dialog", lambda dialog: errors.append("a dialog opened"))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert all(asked.startswith((url, "data:", "blob:")) for url, asked in requests), requests
    # A refused upload is an answer that was expected, and the browser logs it.
    assert not [error for error in errors if not re.search(r"status of 4(01|04|22|29)", error)], errors


def drop(page, *files):
    """Drops files on the page as a file manager does."""
    contents = [[name, base64.b64encode(data).decode("ascii")] for name, data in files]
    transfer = page.evaluate_handle(
        """(files) => {
            const transfer = new DataTransfer();
            for (const [name, content] of files)
                transfer.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], name));
            return transfer;
        }""",
        contents,
    )
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})


def verdict(page):
    return page.locator("#verdict strong")


def drawn(page):
    """Mean colour of what the viewer shows, after all has come to rest."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(700)
    with Image.open(io.BytesIO(page.locator("#viewer").screenshot())) as image:
        return image.convert("RGB").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))


def test_a_forged_picture_from_drop_to_report(open_page):
    """With the model that comes with the package."""
    with serving() as url:
        page = open_page(url)
        drop(page, ("splicing.jpg", FORGED.read_bytes()))
        expect(verdict(page)).to_have_text(re.compile("Signs|No signs|Cannot"), timeout=300_000)
        expect(page.locator("#status")).to_contain_text("splicing.jpg: ")
        expect(page.locator("#verdict p")).to_contain_text("splicing.jpg")
        overlay = drawn(page)
        page.get_by_role("radio", name="Picture").click()
        original = drawn(page)
        page.get_by_role("radio", name="Map").click()
        in_colours = drawn(page)
        assert len({overlay, original, in_colours}) == 3
        with page.expect_popup() as popup:
            page.get_by_role("link", name="Report", exact=True).click()
        report = popup.value
        expect(report.locator("h2")).to_have_text("splicing.jpg")
        sentence = page.locator("#verdict p").inner_text()
        expect(report.locator(".verdict p")).to_have_text(sentence)
        # Its own script runs in the sandbox: the slider that it adds is there.
        expect(report.locator(".compare input")).to_be_visible()


def test_slider_opacity_and_zoom(open_page, address):
    page = open_page(address)
    drop(page, ("splicing.jpg", FORGED.read_bytes()))
    expect(verdict(page)).to_have_text("Cannot judge")
    overlay = drawn(page)
    page.locator("#cut").fill("50")
    half = drawn(page)
    page.locator("#cut").fill("100")
    expect(page.locator("#cut-value")).to_have_text("100 %")
    original = drawn(page)
    page.locator("#cut").fill("0")
    assert drawn(page) == overlay
    page.locator("#opacity").fill("0")
    assert drawn(page) == original
    # The overlay is grey and the picture is not; half of each lies between.
    saturation = [max(colour) - min(colour) for colour in (overlay, half, original)]
    assert saturation[0] < saturation[1] < saturation[2]

    zoom = page.locator("#zoom")
    fitted = zoom.inner_text()
    page.get_by_role("button", name="One pixel of the picture").click()
    expect(zoom).to_have_text("100 %")
    page.get_by_role("button", name="Zoom in").click()
    expect(zoom).to_have_text("150 %")
    page.get_by_role("button", name="Show the whole picture").click()
    expect(zoom).to_have_text(fitted)


def test_pixels_are_shown_as_they_are(open_page, address):
    """At 1:1 the viewer shows a part of the file as it is."""
    pixels = scene(1400, 1100)
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "PNG")
    page = open_page(address, viewport={"width": 1300, "height": 900})
    drop(page, ("scene.png", png.getvalue()))
    expect(verdict(page)).to_have_text("Cannot judge")
    page.get_by_role("radio", name="Picture").click()
    page.get_by_role("button", name="One pixel of the picture").click()
    drawn(page)
    with Image.open(io.BytesIO(page.locator("#viewer").screenshot())) as image:
        shown = np.asarray(image.convert("RGB"))[20:120, 20:120]
    corners = np.argwhere((pixels[:-100, :-100] == shown[0, 0]).all(axis=2))
    parts = (pixels[y : y + 100, x : x + 100].astype(int) for y, x in corners)
    # The browser puts the canvas between two pixels of the screen, which blurs the last levels.
    assert min(np.abs(part - shown).mean() for part in parts) < 0.5


def test_broken_files_and_the_way_back(open_page, address):
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    page = open_page(address)
    drop(page, ("splicing.jpg", FORGED.read_bytes()))
    expect(verdict(page)).to_have_text("Cannot judge")
    drop(page, ("half.jpg", FORGED.read_bytes()[:40_000]))
    expect(verdict(page)).to_have_text("Could not be analysed")
    expect(page.locator("#verdict p")).to_contain_text("half.jpg looks like JPEG but is damaged")
    expect(page.locator("#found")).to_be_hidden()
    drop(page, ("bomb.png", bomb.getvalue()))
    expect(page.locator("#verdict p")).to_contain_text("bomb.png is 20000 x 20000 pixels (400.0 megapixels)")
    page.go_back()
    expect(page.locator("#name")).to_have_text("half.jpg")
    page.go_back()
    expect(page.locator("#name")).to_have_text("splicing.jpg")
    expect(page.locator("#found")).to_be_visible()
    page.get_by_role("button", name="Remove bomb.png").click()
    expect(page.locator("#history li")).to_have_count(2)


def test_names_and_metadata_are_text_and_nothing_else(open_page, address):
    exif = Image.Exif()
    exif[0x0131] = exif[0x010F] = "<script>alert(1)</script>"
    data = jpeg_bytes(scene(120, 90), exif=exif)
    page = open_page(address)
    drop(page, (f"{MARKUP}.jpg", data))
    expect(page.locator("#name")).to_have_text(f"{MARKUP}.jpg")
    expect(page.locator("#facts")).to_contain_text("<script>alert(1)</script>")
    assert page.locator("#result script, #result img[src=x]").count() == 0


def test_several_pictures_at_once_and_pasted_ones(open_page, address):
    page = open_page(address)
    page.locator("#files").set_input_files([FORGED, IMAGES / "removal.jpg"])
    expect(page.locator("#history .is").filter(has_text="Cannot judge")).to_have_count(2)
    expect(page.locator("#name")).to_have_text("splicing.jpg")
    page.evaluate(
        """(content) => {
            const clipboardData = new DataTransfer();
            const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
            clipboardData.items.add(new File([bytes], "image.png", { type: "image/png" }));
            dispatchEvent(new ClipboardEvent("paste", { clipboardData }));
        }""",
        base64.b64encode(jpeg_bytes(scene(120, 90))).decode("ascii"),
    )
    expect(page.locator("#name")).to_have_text("image.png")
    expect(verdict(page)).to_have_text("Cannot judge")


def test_the_keyboard_suffices(open_page, address):
    page = open_page(address)
    page.on("filechooser", lambda chooser: chooser.set_files([IMAGES / "removal.jpg", FORGED]))

    def focus(name):
        """Presses Tab until the focus is where it should be."""
        for _ in range(40):
            page.keyboard.press("Tab")
            focused = page.evaluate(
                "!document.activeElement.matches('a, button, input, select, [role]') ? '' : [document.activeElement.id,"
                " document.activeElement.getAttribute('aria-label'), document.activeElement.textContent].join('|')"
            )
            if name in focused:
                return
        pytest.fail(f"Tab never led to {name}")

    focus("Choose pictures")
    page.keyboard.press("Enter")
    expect(page.locator("#history .is").filter(has_text="Cannot judge")).to_have_count(2)
    focus("splicing.jpg")
    page.keyboard.press("Enter")
    expect(page.locator("#name")).to_have_text("splicing.jpg")
    page.locator("#name").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.value") == "overlay"
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.value") == "map"
    focus("Map of splicing.jpg. Arrow keys move")
    before = page.locator("#zoom").inner_text()
    page.keyboard.press("+")
    expect(page.locator("#zoom")).not_to_have_text(before)
    drawn(page)  # a key that was pressed works on for a while
    page.keyboard.press("0")
    expect(page.locator("#zoom")).to_have_text(before)
    page.keyboard.press("3")
    expect(page.locator("[value=overlay]")).to_be_checked()
    focus("cut")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#cut-value")).to_have_text("5 %")
    focus("Remove" if page.locator("#markings button").count() == 0 else "markings")


def test_regions_lead_to_their_places(open_page, tmp_path):
    """And two witnesses have maps of their own to switch to."""
    page_of_two, url = _server_of_two_witnesses(tmp_path)
    with page_of_two:
        page = open_page(url())
        drop(page, ("photo.jpg", jpeg_bytes(scene(400, 300))))
        places = page.locator("#markings button")
        expect(places).to_have_count(2)
        expect(places.first).to_contain_text("Splicing")
        expect(places.first).to_contain_text("pixels at 100, 60; map 0.90 in the mean")
        fitted = page.locator("#zoom").inner_text()
        places.nth(1).click()
        expect(page.locator("#zoom")).not_to_have_text(fitted)
        expect(places.nth(1)).to_have_attribute("aria-pressed", "true")
        expect(page.locator(".box.chosen")).to_have_text("2")
        page.get_by_role("button", name="Show the whole picture").click()
        page.get_by_role("radio", name="Map").click()
        answer = drawn(page)
        choice = page.locator("#map")
        assert choice.locator("option").all_inner_texts() == ["the answer", "mantranet", "constrained-rcnn"]
        choice.select_option("constrained-rcnn")
        assert drawn(page) != answer
        expect(page.get_by_role("link", name="Map of constrained-rcnn")).to_be_visible()


def _server_of_two_witnesses(folder):
    """A server whose model finds two regions, and a way to its address."""
    from apps.report.cases import high_map, inspection_of
    from doctored.apps.web.results import Analysis
    from doctored.core.inspection import Region

    class Detector:
        precision = "int8"

        def inspect(self, picture, on_progress):
            maps = [high_map(picture.size_hw), np.full(picture.size_hw, 0.7, np.float32)]
            regions = (Region((100, 60, 160, 120), "splicing", 0.9), Region((300, 200, 340, 260), None, 0.6))
            return inspection_of(picture, maps=maps, regions=regions)

    context = running(folder, Analysis(Detector(), 3, FileParser()))
    held = []

    class Served:
        def __enter__(self):
            held.append(context.__enter__())

        def __exit__(self, *error):
            return context.__exit__(*error)

    return Served(), lambda: f"{held[0].base_url}/"


@pytest.mark.parametrize(
    "options",
    [{}, {"color_scheme": "dark"}, {"viewport": {"width": 360, "height": 740}}],
    ids=["light", "dark", "phone"],
)
def test_axe_finds_nothing_serious_and_nothing_sticks_out(open_page, address, options):
    from axe_playwright_python.sync_playwright import Axe

    # The check runs inside the page, whose policy lets no script in that is not its own.
    page = open_page(address, bypass_csp=True, **options)

    def check(where):
        violations = Axe().run(page).response["violations"]
        serious = [one["id"] for one in violations if one["impact"] in ("serious", "critical")]
        assert not serious, (where, [(v["id"], [n["html"] for n in v["nodes"]]) for v in violations])
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), where

    check("start")
    drop(page, ("splicing.jpg", FORGED.read_bytes()), ("words.txt", b"words"))
    expect(page.locator("#found")).to_be_visible()
    expect(page.locator("#history .failed")).to_have_count(1)
    check("result")
    page.get_by_role("button", name="words.txt").first.click()
    expect(verdict(page)).to_have_text("Could not be analysed")
    check("failed")
    page.goto(f"{address}docs")
    check("docs")


def test_a_page_that_is_closed_leaves_nothing(open_page, tmp_path):
    with running(tmp_path) as client:
        page = open_page(f"{client.base_url}/")
        drop(page, ("photo.jpg", jpeg_bytes(scene(120, 90))))
        expect(verdict(page)).to_have_text("Cannot judge")
        (folder,) = tmp_path.iterdir()
        assert client.get(f"/jobs/{folder.name}").status_code == 200
        page.goto("about:blank")
        page.wait_for_timeout(500)
        assert client.get(f"/jobs/{folder.name}").status_code == 404


def test_the_token_is_asked_for_once(open_page, tmp_path):
    token = "a-token-of-25-characters."
    with running(tmp_path, token=token) as client:
        page = open_page(f"{client.base_url}/")
        drop(page, ("photo.jpg", jpeg_bytes(scene(120, 90))))
        page.get_by_label("Whoever started it knows it.").fill("a wrong one")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("this is not the token.")
        page.get_by_label("Whoever started it knows it.").fill(token)
        page.get_by_role("button", name="Continue").click()
        expect(verdict(page)).to_have_text("Cannot judge")
        expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_full_queue_is_waited_for(open_page, tmp_path):
    import threading

    go = threading.Event()

    def analyse(job, on_progress):
        go.wait(20)
        raise MemoryError

    with running(tmp_path, analyse, queue=1) as client:
        first = send(client, jpeg_bytes(scene(120, 90)))
        page = open_page(f"{client.base_url}/")
        page.route("**/inspect", lambda route: route.continue_())
        data = jpeg_bytes(scene(120, 90))
        drop(page, ("a.jpg", data), ("b.jpg", data))
        expect(page.locator("#history .is").first).to_have_text("Waiting for a place in the queue")
        go.set()
        finish(client, first)
        expect(page.locator("#history .failed")).to_have_count(2, timeout=20_000)
