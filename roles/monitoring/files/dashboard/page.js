// The dashboard: asks Prometheus' API, which serves this page, every fifteen seconds while somebody looks.
"use strict";

// Without the password that an address may carry, which fetch refuses.
const HERE = location.origin + location.pathname.replace(/\/[^/]*$/, "");
const EVERY = 15;
const POINTS = 240;
// Seconds; the measuring program looks every five, and waits for what it asks.
const TOLD_WITHIN = 180;
const RANGES = { "1 h": 3600, "6 h": 21600, "1 d": 86400, "7 d": 604800, "15 d": 1296000 };
const COLOURS = ["#2f7de1", "#e0762f", "#25a36f", "#a45bd6", "#d6466f", "#8a8f3c", "#2aa5b8", "#8d6e5c"];
const LEVELS = ["critical", "warning", "grow"];
const TILES = [
  { title: "CPU", expr: "hangar_cpu_used_ratio", unit: "ratio", high: 0.9 },
  { title: "Memory", expr: "hangar_memory_used_ratio", unit: "ratio", high: 0.9 },
  { title: "Disk /srv", expr: 'hangar_disk_used_ratio{mountpoint="/srv"}', unit: "ratio", high: 0.8 },
  { title: "Load", expr: "node_load5", unit: "count", word: "over five minutes" },
  { title: "Tasks running", expr: "airflow_executor_running_tasks", unit: "count" },
  { title: "Syncs running", expr: "hangar_airbyte_jobs_running", unit: "count" },
  { title: "Units failed", expr: "sum(hangar_units_failed)", unit: "count", high: 0.5 },
  { title: "Security updates", expr: "hangar_security_updates_pending", unit: "count", word: "pending" },
  { title: "Last good backup", expr: "time() - hangar_backup_last_success_timestamp_seconds", unit: "seconds", word: "ago" },
  { title: "Running for", expr: "time() - hangar_started_timestamp_seconds", unit: "seconds" },
];

let range = RANGES[localStorage.getItem("range")] ? localStorage.getItem("range") : "1 h";
let panels = [];
const charts = new Map();

function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

async function ask(path, asked = {}) {
  const answer = await fetch(`${HERE}/../api/v1/${path}?${new URLSearchParams(asked)}`);
  if (!answer.ok) throw new Error(`Prometheus answers with ${answer.status}`);
  return (await answer.json()).data;
}

function span(seconds) {
  for (const [size, name] of [[86400, "d"], [3600, "h"], [60, "min"]]) if (seconds >= size) return `${Math.round(seconds / size)} ${name}`;
  return `${Math.round(seconds)} s`;
}

function say(value, unit) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (unit === "ratio") return `${+(100 * value).toFixed(value < 0.1 ? 1 : 0)} %`;
  if (unit === "seconds") return value < 60 ? `${+value.toFixed(1)} s` : span(value);
  if (unit.startsWith("bytes")) {
    const step = Math.min(4, Math.max(0, Math.floor(Math.log2(Math.max(value, 1)) / 10)));
    return `${+(value / 1024 ** step).toFixed(step > 2 ? 1 : 0)} ${["B", "KiB", "MiB", "GiB", "TiB"][step]}${unit === "bytes/s" ? "/s" : ""}`;
  }
  return `${+value.toFixed(value < 10 ? 2 : 0)}`;
}

// A day and more needs the date.
function clock(moment) {
  const time = new Date(1000 * moment);
  return RANGES[range] > 86400
    ? time.toLocaleDateString([], { day: "numeric", month: "short" })
    : time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
}

function legend(form, labels, used) {
  const name = form.replace(/{{(\w+)}}/g, (_, label) => labels[label] ?? "");
  return used.has(name) ? `${name} (${used.size})` : name;
}

// What the measuring program tells past Prometheus, which takes nothing in where a disk is full. By the machine's own
// clock; null where it is missing or old, for then nobody has looked.
async function told() {
  const answer = await fetch(`${HERE}/told.json`, { cache: "no-store" });
  const age = Date.parse(answer.headers.get("Date")) - Date.parse(answer.headers.get("Last-Modified"));
  return answer.ok && age < 1000 * TOLD_WITHIN ? (await answer.json()).alerts : null;
}

async function showAlerts() {
  const [known, beside] = await Promise.all([ask("alerts"), told()]);
  const firing = [...known.alerts.filter((one) => one.state === "firing"), ...(beside ?? [])];
  firing.sort((a, b) => LEVELS.indexOf(a.labels.level) - LEVELS.indexOf(b.labels.level) || a.activeAt.localeCompare(b.activeAt));
  const cards = firing.map((one) => {
    const card = element("article", undefined, one.labels.level);
    const since = element("time", `for ${span((Date.now() - Date.parse(one.activeAt)) / 1000)}`);
    since.dateTime = one.activeAt;
    card.append(since, element("b", one.annotations.reason), element("p", one.annotations.action));
    return card;
  });
  document.getElementById("alerts").replaceChildren(...cards);
  const state = document.getElementById("state");
  const worst = firing[0]?.labels.level ?? (beside ? "good" : "warning");
  state.className = `pill ${worst}`;
  state.textContent = firing.length ? `${firing.length} alert${firing.length > 1 ? "s" : ""}` : beside ? "all is well" : "not everything is measured";
  document.title = firing.length ? `(${firing.length}) Monitoring` : "Monitoring";
}

async function showTiles() {
  const answers = await Promise.all(TILES.map((tile) => ask("query", { query: tile.expr })));
  const cards = TILES.map((tile, number) => {
    const found = answers[number].result[0];
    if (!found) return null;
    const value = Number(found.value[1]);
    const card = element("article", undefined, tile.high !== undefined && value > tile.high ? "high" : "");
    card.append(element("h2", tile.title), element("strong", say(value, tile.unit)));
    if (tile.unit === "ratio") {
      const bar = element("div", undefined, "bar");
      const filled = element("i");
      filled.style.width = `${Math.min(100, 100 * value)}%`;
      bar.append(filled);
      card.append(bar);
    } else if (tile.word) card.append(element("small", tile.word));
    return card;
  });
  document.getElementById("tiles").replaceChildren(...cards.filter(Boolean));
}

// All series of a panel on one time axis; null where one has no value.
function columns(found, start, end, step) {
  const times = [];
  for (let moment = start; moment <= end; moment += step) times.push(moment);
  const rows = found.map(({ values }) => {
    const known = new Map(values.map(([moment, value]) => [Math.round(moment), Number(value)]));
    return times.map((moment) => known.get(moment) ?? null);
  });
  return [times, ...rows];
}

async function showPanel(panel, number) {
  const seconds = RANGES[range];
  const step = Math.max(EVERY, Math.ceil(seconds / POINTS));
  const end = Math.floor(Date.now() / 1000 / step) * step;
  const start = end - Math.floor(seconds / step) * step;
  const windows = { $rate: `${Math.max(60, 4 * step)}s`, $wide: `${Math.max(300, 4 * step)}s` };
  const answers = await Promise.all(panel.series.map((one) => ask("query_range", {
    query: one.expr.replace(/\$(rate|wide)/g, (name) => windows[name]), start, end, step,
  })));
  const used = new Set();
  const found = answers.flatMap((answer, which) => answer.result.map(({ metric, values }) => {
    const name = legend(panel.series[which].legend, metric, used);
    used.add(name);
    return { name, values };
  }));
  draw(panel, number, found, columns(found, start, end, step));
}

// The last moment at which any series has a value.
function last([times, ...rows]) {
  for (let at = times.length - 1; at > 0; at -= 1) if (rows.some((row) => row[at] !== null)) return at;
  return 0;
}

function draw(panel, number, found, data) {
  const card = document.getElementById("panels").children[number];
  const names = found.map(({ name }) => name).join("\n");
  card.hidden = found.length === 0;
  let chart = charts.get(number);
  if (chart && chart.names !== names) { chart.plot.destroy(); charts.delete(number); chart = undefined; }
  if (card.hidden) return;
  const place = card.querySelector(".plot");
  const width = place.clientWidth;
  if (chart) { chart.plot.setSize({ width, height: 180 }); chart.plot.setData(data); return; }
  const style = getComputedStyle(document.body);
  const [soft, line] = ["--soft", "--line"].map((name) => style.getPropertyValue(name).trim());
  const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  // Where no pointer is, the legend says what is now.
  const now = (one) => { if (one.cursor.idx === null || one.cursor.idx === undefined) one.setLegend({ idx: last(one.data) }); };
  const plot = new uPlot({
    hooks: { ready: [now], setCursor: [now], setData: [now] },
    width, height: 180,
    cursor: { sync: { key: "page" }, drag: { x: false, y: false } },
    legend: { live: true },
    scales: { y: { range: (_, low, high) => [0, panel.max ?? Math.max(high * 1.1, low === high ? 1 : 0, 1e-9)] } },
    axes: [{ ...axis, space: 70, values: (_, marks) => marks.map(clock) }, { ...axis, size: 62, values: (_, marks) => marks.map((mark) => say(mark, panel.unit)) }],
    series: [{}, ...found.map(({ name }, at) => ({
      label: name, stroke: COLOURS[at % COLOURS.length], width: 1.6, spanGaps: false, points: { show: false },
      fill: at === 0 ? `${COLOURS[0]}1c` : undefined, value: (_, value) => say(value, panel.unit),
    }))],
  }, data, place);
  charts.set(number, { plot, names });
}

async function show() {
  if (document.hidden) return;
  const updated = document.getElementById("updated");
  try {
    await Promise.all([showAlerts(), showTiles(), ...panels.map(showPanel)]);
    updated.textContent = `As of ${new Date().toLocaleTimeString()}`;
    document.body.dataset.ready = "yes";
  } catch (problem) {
    updated.textContent = `${problem.message}. Shown is what was known before.`;
    const state = document.getElementById("state");
    state.className = "pill critical";
    state.textContent = "no answer";
  }
}

function ranges() {
  document.getElementById("ranges").replaceChildren(...Object.keys(RANGES).map((name) => {
    const button = element("button", name);
    button.setAttribute("aria-pressed", String(name === range));
    button.addEventListener("click", () => {
      range = name;
      localStorage.setItem("range", name);
      ranges();
      show();
    });
    return button;
  }));
}

async function begin() {
  ranges();
  panels = await (await fetch(`${HERE}/panels.json`)).json();
  document.getElementById("panels").replaceChildren(...panels.map((panel) => {
    const card = element("article");
    card.hidden = true;
    card.append(element("h2", panel.title), element("div", undefined, "plot"));
    return card;
  }));
  ask("status/config").then(({ yaml }) => {
    const machine = /^\s*machine: (\S+)$/m.exec(yaml)?.[1];
    if (machine) document.getElementById("machine").textContent = machine;
  }).catch(() => {});
  await show();
  setInterval(show, EVERY * 1000);
  document.addEventListener("visibilitychange", show);
  // Another width, other colours: all is drawn anew.
  const again = () => { for (const { plot } of charts.values()) plot.destroy(); charts.clear(); show(); };
  let resized;
  window.addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(again, 200); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
}

begin();
