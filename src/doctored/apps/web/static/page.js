// The page: sends pictures one after the other, asks what has become of them, and shows what was found.
import { Viewer } from "./viewer.js";

const FIRST_WAIT_MS = 150, LONGEST_WAIT_MS = 1000;
const DOWNLOADS = {
  "report.html": ["Report", "one file for people, without network"],
  "result.json": ["Result as JSON", "as the command detect --json prints it"],
  "report.json": ["Report as JSON", "with what the file says"],
  "mask.png": ["Mask", "white where the map is 0.5 or more"],
  "map.png": ["Map", "16-bit grey; 65535 stands for 1"],
  "overlay.png": ["Overlay", "the map over the picture in grey"],
};

const $ = (id) => document.getElementById(id);
const pictures = []; // latest first
let shown = null;
let sending = Promise.resolve();
const viewer = new Viewer($("viewer"), {
  onZoom: (zoom) => { $("zoom").value = `${zoom >= 0.1 ? Math.round(zoom * 100) : (zoom * 100).toFixed(1)} %`; },
  onCut: (percent) => { $("cut").value = percent; setCut(); },
  onKind: (kind) => { $("kind").querySelector(`[value=${kind}]`).click(); },
});

// ---- asking the server

/** Calls the API; asks for the token where it is missing. */
async function call(path, options = {}) {
  const response = await fetch(path, options);
  if (response.status !== 401) return response;
  await askForToken();
  return call(path, options);
}

async function sentenceOf(response) {
  try {
    return (await response.json()).detail;
  } catch {
    return `The server answered with status ${response.status}; try again`;
  }
}

let tokenGiven = null;
function askForToken() {
  tokenGiven ??= new Promise((resolve) => {
    const dialog = $("token"), form = dialog.querySelector("form");
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const body = JSON.stringify({ token: $("token-text").value });
      const headers = { "content-type": "application/json" };
      const response = await fetch("/session", { method: "POST", body, headers });
      if (!response.ok) {
        $("token-error").textContent = `${await sentenceOf(response)}.`;
        return;
      }
      dialog.close();
      tokenGiven = null;
      resolve();
    });
    dialog.showModal();
  });
  return tokenGiven;
}

const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

// ---- pictures

function add(files) {
  const added = [...files].map((file) => ({ file, name: file.name || "pasted picture", state: "sending" }));
  if (!added.length) return;
  for (const picture of added) {
    pictures.unshift(picture);
    $("history").prepend(entryOf(picture));
    sending = sending.then(() => send(picture)).catch((error) => fail(picture, String(error.message)));
  }
  document.body.classList.add("has-pictures");
  show(added[0]);
}

async function send(picture) {
  const { file } = picture;
  delete picture.file;
  if (picture.removed) return;
  const limit = Number(document.body.dataset.maxMegabytes);
  if (file.size > limit * 1e6) {
    fail(picture, `${picture.name} has ${(file.size / 1e6).toFixed(1)} MB, more than the limit of ${limit} MB`);
    return;
  }
  const body = new FormData();
  body.append("picture", file, picture.name);
  let response;
  try {
    response = await call("/inspect", { method: "POST", body });
    while (response.status === 429) {
      change(picture, { state: "queued" });
      await pause(1000 * Number(response.headers.get("retry-after")));
      response = await call("/inspect", { method: "POST", body });
    }
  } catch {
    fail(picture, `${picture.name} did not reach the server; see whether it still runs, and send the picture again`);
    return;
  }
  if (!response.ok) {
    fail(picture, await sentenceOf(response));
    return;
  }
  change(picture, { job: await response.json(), state: "waiting" });
  follow(picture);
}

/** Asks after a job until it is over. */
async function follow(picture) {
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(LONGEST_WAIT_MS, wait * 1.3)) {
    await pause(wait);
    if (picture.removed) return;
    let response;
    try {
      response = await call(`/jobs/${picture.job.id}`);
    } catch {
      fail(picture, `The server does not answer any more; see whether it still runs, and send ${picture.name} again`);
      return;
    }
    if (!response.ok) {
      fail(picture, await sentenceOf(response));
      return;
    }
    const job = await response.json();
    if (job.state === "failed") {
      fail(picture, job.error);
      return;
    }
    if (job.state === "done") {
      const result = await (await call(`/jobs/${job.id}/result`)).json();
      change(picture, { job, result, state: "done" });
      say(`${picture.name}: ${result.title}`);
      return;
    }
    change(picture, { job, state: job.state });
  }
}

function fail(picture, error) {
  change(picture, { state: "failed", error });
  say(`${picture.name} could not be analysed. ${error}`);
}

function change(picture, news) {
  Object.assign(picture, news);
  fillEntry(picture);
  if (picture === shown) fill(picture);
}

function remove(picture) {
  picture.removed = true;
  if (picture.job) fetch(`/jobs/${picture.job.id}`, { method: "DELETE" });
  const at = pictures.indexOf(picture);
  pictures.splice(at, 1);
  picture.entry.remove();
  say(`${picture.name} was removed`);
  if (!pictures.length) {
    shown = null;
    viewer.close();
    document.body.classList.remove("has-pictures");
    $("result").hidden = true;
    $("choose").focus();
  } else {
    const next = pictures[Math.min(at, pictures.length - 1)];
    if (picture === shown) show(next);
    next.entry.querySelector(".pick").focus();
  }
}

const say = (sentence) => { $("status").textContent = sentence; };

// ---- the list

const WORDS = {
  sending: () => "Sending",
  queued: () => "Waiting for a place in the queue",
  waiting: ({ job }) => (job.ahead ? `Waiting, ${job.ahead} before it` : "Waiting"),
  running: ({ job }) => (job.progress ? `Analysing, ${Math.round(100 * job.progress)} %` : "Analysing"),
  done: ({ result }) => result.title,
  failed: () => "Could not be analysed",
};

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function entryOf(picture) {
  const pick = make("button", { type: "button", className: "pick" },
    make("span", { className: "thumb" }),
    make("span", { className: "of", textContent: picture.name, title: picture.name }),
    make("span", { className: "is" }));
  pick.addEventListener("click", () => show(picture));
  const remove_ = make("button", { type: "button", className: "remove", textContent: "×", title: "Remove" });
  remove_.setAttribute("aria-label", `Remove ${picture.name}`);
  remove_.addEventListener("click", () => remove(picture));
  picture.entry = make("li", {}, pick, remove_);
  fillEntry(picture);
  return picture.entry;
}

function fillEntry(picture) {
  const { entry, result, job } = picture;
  const is = entry.querySelector(".is");
  is.textContent = WORDS[picture.state](picture);
  is.className = `is ${picture.state === "failed" ? "failed" : result ? result.verdict : ""}`;
  if (result && entry.querySelector("span.thumb")) {
    const src = `/jobs/${job.id}/tiles/picture/${result.tiles.halvings}/0/0`;
    entry.querySelector("span.thumb").replaceWith(make("img", { className: "thumb", src, alt: "" }));
  }
}

// ---- one picture

/** Shows a picture; the browser's way back leads to the one before. */
function show(picture, { remember = true } = {}) {
  if (picture === shown) return;
  shown = picture;
  if (remember) history.pushState(pictures.length - pictures.indexOf(picture), "");
  for (const other of pictures) {
    other.entry.querySelector(".pick").setAttribute("aria-current", String(other === picture));
  }
  $("result").hidden = false;
  viewer.close();
  fill(picture);
}

function fill(picture) {
  const { state, result, job } = picture;
  $("name").textContent = picture.name;
  document.title = `${picture.name} – doctored`;
  const over = state === "done" || state === "failed";
  $("waiting").hidden = over;
  $("verdict").hidden = !over;
  $("failed-note").hidden = state !== "failed";
  $("found").hidden = state !== "done";
  if (!over) {
    $("waiting").querySelector("p").textContent = `${WORDS[state](picture)} …`;
    const bar = $("waiting").querySelector("progress");
    if (state === "running" && job.progress) bar.value = job.progress;
    else bar.removeAttribute("value");
    return;
  }
  const [title, sentence] = $("verdict").children;
  $("verdict").className = `verdict ${state === "failed" ? "failed" : result.verdict}`;
  title.textContent = state === "failed" ? "Could not be analysed" : result.title;
  sentence.textContent = state === "failed" ? `${picture.error}.` : result.report.sentence;
  if (state === "done") fillFound(picture);
}

function fillFound({ job, name, result }) {
  const { report, tiles } = result;
  $("false-alarms").textContent = report.false_alarms;
  $("highest").textContent = `The highest value here is ${result.highest.toFixed(2)}.`;
  fillMarkings(result);
  const names = { answer: "the answer" };
  $("map").replaceChildren(...result.maps.map((map) => make("option", { value: map, textContent: names[map] ?? map })));
  $("map-choice").hidden = result.maps.length < 2;
  $("downloads").replaceChildren(...result.files.map((file) => {
    const [title, note] = DOWNLOADS[file] ?? [`Map of ${file.replace(/\.map\.png$/, "")}`, "its own map, 16-bit grey"];
    const href = `/jobs/${job.id}/files/${file}`;
    const link = make("a", { href, textContent: title });
    if (file !== "report.html") link.download = "";
    else Object.assign(link, { target: "_blank", rel: "noopener" });
    return make("li", {}, link, make("small", { textContent: note }));
  }));
  const items = (sentences) => sentences.map((sentence) => make("li", { textContent: sentence }));
  $("misleading").replaceChildren(...items(report.misleading));
  $("not-checked").replaceChildren(...items(report.not_checked));
  const row = (title, text, code) => make("tr", {},
    make("th", { scope: "row", textContent: title }),
    make("td", {}, code ? make("code", { textContent: text }) : text));
  $("facts").replaceChildren(...result.facts.map(({ title, text }, index) => row(title, text, index === 0)));
  $("witnesses").replaceChildren(...report.inspection.witnesses.map((witness) =>
    row(witness.name, `Raw score ${witness.raw_score.toFixed(4)}, scale ${witness.scale.toFixed(2)}, weights ${witness.sha256}`)));
  viewer.open(name, job.id, tiles, result.markings);
  showLayer();
  setCut();
}

function fillMarkings({ markings, markings_left_out: leftOut, report }) {
  const regions = report.inspection.regions.length > 0;
  $("markings-title").textContent = regions ? "Regions" : "Highest places";
  const more = leftOut ? ` ${leftOut} more are in the JSON only.` : "";
  $("markings-note").textContent = !markings.length
    ? "None: the map is calm everywhere."
    : (regions ? "What the answer marks, surest first." : "The model marks no regions. There is a highest place in every map.") + more;
  $("markings").replaceChildren(...markings.map((marking, index) => {
    const [x1, y1, x2, y2] = marking.box_xyxy;
    const score = marking.score === null ? "" : `Score ${marking.score.toFixed(2)}; `;
    const text = `${score}${x2 - x1} × ${y2 - y1} pixels at ${x1}, ${y1}; map ${marking.mean.toFixed(2)} in the mean, ${marking.highest.toFixed(2)} at most`;
    const button = make("button", { type: "button" }, make("b", { textContent: marking.title }), make("small", { textContent: text }));
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      for (const other of $("markings").querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
      viewer.goTo(index);
    });
    return make("li", {}, button);
  }));
}

function showLayer() {
  const kind = $("kind").querySelector(":checked").value;
  viewer.show(kind, $("map").value || "answer", Number($("opacity").value) / 100);
  const plain = kind === "picture";
  $("opacity-value").value = `${$("opacity").value} %`;
  $("opacity").disabled = $("cut").disabled = plain;
}

function setCut() {
  const percent = Number($("cut").value);
  $("cut-value").value = `${Math.round(percent)} %`;
  viewer.cut(percent / 100);
}

// ---- events

$("choose").addEventListener("click", () => $("files").click());
$("files").addEventListener("change", () => { add($("files").files); $("files").value = ""; });
$("kind").addEventListener("change", showLayer);
$("map").addEventListener("change", showLayer);
$("opacity").addEventListener("input", showLayer);
$("cut").addEventListener("input", setCut);
$("zoom-in").addEventListener("click", () => viewer.zoomBy(1.5));
$("zoom-out").addEventListener("click", () => viewer.zoomBy(1 / 1.5));
$("zoom-native").addEventListener("click", () => viewer.zoomNative());
$("zoom-fit").addEventListener("click", () => viewer.fit());
addEventListener("paste", (event) => add(event.clipboardData.files));
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  add(event.dataTransfer.files);
});
addEventListener("popstate", (event) => {
  const picture = pictures[pictures.length - event.state];
  if (picture) show(picture, { remember: false });
});
// What this page asked for is of no use to anybody once it is closed.
addEventListener("pagehide", (event) => {
  if (event.persisted) return;
  for (const { job } of pictures) if (job) fetch(`/jobs/${job.id}`, { method: "DELETE", keepalive: true });
});
