"use strict";
// The page: all tables and tenants, or the runs of one sync. Everything that is shown is set as text, never
// as HTML. Airflow shows the page in a sandboxed frame that may neither open windows nor leave itself.

const CHANGES = ["added", "changed", "reactivated", "deactivated", "rejected"];
const WIDTH = 600;
const HEIGHT = 100;
const asked = new URLSearchParams(location.search);
const main = document.getElementById("main");

// Elements

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

const html = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);
const svg = (name, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

function table(label, columns, rows) {
  const cells = (row) =>
    columns.map(([name, kind], index) => html("td", { class: kind, "data-label": name }, row[index] ?? "–"));
  const heads = columns.map(([name, kind]) => html("th", { class: kind, scope: "col" }, name));
  const head = html("thead", {}, html("tr", {}, ...heads));
  const body = html("tbody", {}, ...rows.map((row) => html("tr", {}, ...cells(row))));
  return html("div", { class: "scroll" }, html("table", { "aria-label": label }, head, body));
}

// Links

const path = (...parts) => parts.map(encodeURIComponent).join("/");

function here(run) {
  const query = { dag_id: run.dag_id, task_id: run.task_id, map_index: run.map_index };
  return `?${new URLSearchParams(query)}`;
}

// Where Airflow says what happened: at the task, unless another one of the run kept it from starting.
function logOf(run) {
  const dagRun = `dags/${path(run.dag_id)}/runs/${path(run.run_id)}`;
  if (run.state === "upstream_failed") return dagRun;
  return `${dagRun}/tasks/${path(run.task_id)}${run.map_index < 0 ? "" : `/mapped/${run.map_index}`}`;
}

// A link into Airflow. The frame may not follow it, but Airflow's own window may.
function airflow(target, text) {
  const link = html("a", { href: new URL(`../${target}`, location.href).href }, text);
  link.addEventListener("click", (event) => {
    if (window.parent === window) return;
    event.preventDefault();
    const outer = window.parent.document.createElement("a");
    outer.href = link.href;
    if (event.ctrlKey || event.metaKey || event.shiftKey) outer.target = "_blank";
    outer.click();
  });
  return link;
}

const nameOf = (run) => `${run.dag_id}.${run.task_id}${run.map_index < 0 ? "" : ` [${run.map_index}]`}`;

// Texts

const number = (value) => (value === undefined || value === null ? undefined : value.toLocaleString("en-US"));
const moment = (iso) => new Date(iso).toISOString().slice(0, 16).replace("T", " ");

function duration(seconds) {
  if (seconds === undefined) return undefined;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function age(iso, now) {
  const minutes = Math.max(0, Math.floor((new Date(now) - new Date(iso)) / 60000));
  if (minutes < 60) return `${minutes} min ago`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h ago` : `${Math.floor(minutes / 1440)} days ago`;
}

const time = (iso, text) => html("time", { datetime: iso, title: `${moment(iso)} UTC` }, text ?? moment(iso));

function state(run) {
  const kind = { success: "good", failed: "bad", upstream_failed: "bad" }[run.state] ?? "busy";
  return html("span", { class: kind }, run.dry_run ? `${run.state} (dry run)` : (run.state ?? "none"));
}

// Charts

// Active agents over the runs; a run that failed is a bar.
function spark(history) {
  const points = history.toReversed().map((point, index, all) => ({ ...point, x: (index + 0.5) * (WIDTH / all.length) }));
  const written = points.filter((point) => point.active !== null);
  const values = written.map((point) => point.active);
  const low = Math.min(...values);
  const span = Math.max(...values) - low;
  const y = (value) => (span ? HEIGHT - 10 - ((value - low) / span) * (HEIGHT - 20) : HEIGHT / 2);
  const failed = points.filter((point) => point.state?.endsWith("failed"));
  const summary =
    `${history.length} runs, ${failed.length} failed` +
    (values.length ? `; active agents from ${number(values[0])} to ${number(values.at(-1))}` : "");
  return svg(
    "svg",
    { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": summary },
    svg("title", {}, summary),
    ...failed.map((point) => svg("rect", { x: point.x - 4, y: 0, width: 8, height: HEIGHT, class: "fill-failed" })),
    svg("path", { d: written.map((point, index) => `${index ? "L" : "M"}${point.x} ${y(point.active)}`).join("") }),
  );
}

// Changes of each run. One that changed far more than most, as the first does, is cut to leave the others visible.
function chart(runs) {
  const sum = (run) => CHANGES.reduce((total, name) => total + (run.counts[name] ?? 0), 0);
  const sums = runs.map(sum).filter(Boolean).sort((one, other) => one - other);
  const most = Math.min(sums.at(-1) ?? 1, 4 * (sums[Math.floor(sums.length / 2)] ?? 1));
  const step = WIDTH / runs.length;
  const bars = runs.toReversed().flatMap((run, index) => {
    const bar = (y, height, kind, text) => {
      const shape = { x: (index + 0.1) * step, y, width: step * 0.8, height, class: `fill-${kind}` };
      return svg("rect", shape, ...(text ? [svg("title", {}, `${moment(run.started)}: ${text}`)] : []));
    };
    if (run.state?.endsWith("failed")) return [bar(0, HEIGHT, "failed", "failed")];
    const scale = HEIGHT / Math.max(most, sum(run));
    let y = HEIGHT;
    const stack = CHANGES.filter((name) => run.counts[name]).map((name) => {
      y -= run.counts[name] * scale;
      return bar(y, run.counts[name] * scale, name, `${number(run.counts[name])} ${name}`);
    });
    return sum(run) > most ? [...stack, bar(8, 2, "cut"), bar(12, 2, "cut")] : stack;
  });
  const label = `Changes in the last ${runs.length} runs; the table below has the numbers`;
  const square = (name) => svg("svg", { viewBox: "0 0 1 1", "aria-hidden": "true" }, svg("rect", { width: 1, height: 1, class: `fill-${name}` }));
  const height = `height: ${number(most)} agents${sums.at(-1) > most ? "; cut bars are taller" : ""}`;
  return [
    svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label }, ...bars),
    html("ul", { class: "legend" }, ...[...CHANGES, "failed"].map((name) => html("li", {}, square(name), name)), html("li", { class: "faint" }, height)),
  ];
}

// Views

function overview({ tables, now }) {
  if (!tables.length) {
    return [html("p", {}, asked.has("task_id")
      ? "This task is not a contact center sync, or it has not run yet."
      : "No contact center sync has run yet, or you do not have access to its DAG.")];
  }
  const columns = [
    ["Table"], ["Tenant"], ["Synced", "short"], ["Latest run", "short"], ["Active agents", "number"], ["Added", "number"],
    ["Changed", "number"], ["Deactivated", "number"], ["Rejected", "number"], ["30 runs"],
  ];
  const rows = tables.map(({ target, latest, synced, history, syncs }) => [
    html("div", {},
      html("div", {}, target.table, " ", html("span", { class: "faint" }, target.sql_conn_id)),
      ...syncs.map((sync) => html("div", {}, html("a", { href: here(sync) }, nameOf(sync))))),
    target.tenant,
    synced ? time(synced.ended, age(synced.ended, now)) : html("span", { class: "bad" }, "never"),
    state(latest),
    number(synced?.counts.active),
    ...["added", "changed", "deactivated", "rejected"].map((name) => number(synced?.counts[name])),
    spark(history),
  ]);
  return [table("Tables and tenants", columns, rows)];
}

function reasons(runs) {
  const run = runs.find((each) => each.reject_reasons.length);
  if (!run) return [];
  return [
    html("h2", {}, "Rejects of ", time(run.started), " UTC"),
    table("Reasons of rejects", [["Endpoint: code"], ["Accounts", "number"], ["What to do"]],
      run.reject_reasons.map((each) => [each.reason, number(each.accounts), each.advice])),
  ];
}

function history({ runs, now }) {
  if (!runs.length) return [html("p", {}, "There is no such sync, or you do not have access to its DAG.")];
  const [latest] = runs;
  const target = runs.find((run) => run.target)?.target;
  const throttled = runs.some((run) => run.counts.throttled_seconds !== undefined);
  const columns = [
    ["Started, UTC", "short"], ["State", "short"], ["Attempts", "number"], ["Duration", "number"], ["Active agents", "number"],
    ...CHANGES.map((name) => [name[0].toUpperCase() + name.slice(1), "number"]),
    ["Requests", "number"], ...(throttled ? [["Throttled", "number"]] : []), ["Log"],
  ];
  const rows = runs.map((run) => [
    time(run.started), state(run), number(run.attempts),
    run.ended ? duration((new Date(run.ended) - new Date(run.started)) / 1000) : undefined,
    ...["active", ...CHANGES, "requests"].map((name) => number(run.counts[name])),
    ...(throttled ? [duration(run.counts.throttled_seconds)] : []),
    airflow(logOf(run), "log"),
  ]);
  const synced = runs.find((run) => run.state === "success" && !run.dry_run);
  document.querySelector("h1").textContent = nameOf(latest);
  return [
    html("p", {}, html("a", { href: "./" }, "All tables"), " · ",
      airflow(`dags/${path(latest.dag_id)}`, "DAG"), " · ",
      airflow(`dags/${path(latest.dag_id)}/tasks/${path(latest.task_id)}`, "Task")),
    html("p", {}, target ? `${target.sql_conn_id}: ${target.table}, tenant ${target.tenant}. ` : "",
      synced ? "Synced " : "Never synced.", synced ? time(synced.ended, age(synced.ended, now)) : ""),
    ...chart(runs),
    ...reasons(runs),
    html("h2", {}, `The last ${runs.length} runs`),
    table("Runs", columns, rows),
  ];
}

// Data

async function get(what, query) {
  const reply = await fetch(`api/${what}?${new URLSearchParams(query)}`);
  if (reply.status === 401) throw new Error("You are no longer signed in. Reload Airflow.");
  if (!reply.ok) throw new Error(`Airflow returned HTTP ${reply.status}. See the log of its API server.`);
  return reply.json();
}

async function view() {
  const query = Object.fromEntries(asked);
  if (asked.has("map_index")) return history(await get("runs", query));
  const found = await get("tables", query);
  const [only, ...more] = found.tables.flatMap((status) => status.syncs);
  if (!asked.has("task_id") || !only || more.length) return overview(found);
  return history(await get("runs", { ...query, map_index: only.map_index }));
}

async function show() {
  main.setAttribute("aria-busy", "true");
  try {
    main.replaceChildren(...(await view()));
    document.getElementById("when").textContent = `as of ${moment(new Date())} UTC`;
  } catch (error) {
    main.replaceChildren(html("p", { class: "bad", role: "alert" }, error.message));
  }
  main.setAttribute("aria-busy", "false");
}

// Airflow's own choice of dark or light, and the system's where the page stands alone.
function theme() {
  if (window.parent === window) return;
  const outer = window.parent.document.documentElement;
  const follow = () => {
    document.documentElement.dataset.theme = outer.classList.contains("dark") ? "dark" : "light";
  };
  new MutationObserver(follow).observe(outer, { attributes: true, attributeFilter: ["class"] });
  follow();
}

theme();
document.getElementById("refresh").addEventListener("click", show);
show();
