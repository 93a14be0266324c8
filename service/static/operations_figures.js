// The parts of the page of operations, each shown from what was read.

import { cell, count, number, row, time } from "./tables.js";
import { duration } from "./words.js";

const element = (id) => document.getElementById(id);
const setText = (id, text) => { element(id).textContent = text; };
const REQUESTS = "recommender_request_seconds";
const KEYS = "recommender_key_requests_total";
const REFUSALS = "recommender_refusals_total";
const LEFT_OUT = "recommender_log_left_out_total";
/** Routes of probes, of Prometheus and of this page, which are no traffic of visitors. */
const WATCHING = new Set(["/healthz", "/readyz", "/metrics", "/v1/operations", "/v1/experiments"]);
const SHOWN_METRIC = "NDCG@20";

const REASONS = {
  busy: "too much light work (busy)",
  share: "the key sends more than its share (share)",
  limit: "the key is over its limits, and was told so a moment ago (limit)",
  full: "the queue of heavy work is full (full)",
  deadline: "its time is over (deadline)",
  left: "the client has left (left)",
  teacher: "too many requests to the teacher (teacher)",
  admin: "too many changes of items or bundles (admin)",
  bulk: "too many changes of items in bulk (bulk)",
  storing: "too many requests that store many events (storing)",
  receiving: "too many bytes of incomplete bodies (receiving)",
  log_full: "the log is full",
  log_failed: "the log could not be written",
  behind: "the log falls behind",
  too_long: "the record is too long",
};

const aSecond = (rate) => (rate === null ? "–" : rate >= 100 ? count(Math.round(rate)) : rate.toFixed(1));
const seconds = (value) => (value === null ? "–" : duration(1_000 * value));
const bad = (text) => cell(text, { name: "span", className: "bad" });

/** Shows all parts. */
export function show({ operations, readiness, experiments, replicas }) {
  const { totals, perSecond } = replicas;
  const rateOf = (name, isMeant) => (perSecond.isEmpty ? null : perSecond.sum(name, isMeant));
  showHeadline(perSecond, rateOf);
  showHealth(readiness, totals);
  showServed(operations.model);
  showRoutes(totals, perSecond, rateOf);
  showAdmission(totals, rateOf);
  showKeys(totals, rateOf);
  showLog(totals);
  showItems(operations.model, totals);
  showExperiments(experiments);
}

function showHeadline(perSecond, rateOf) {
  const isMeant = ({ route }) => !WATCHING.has(route);
  const rate = rateOf(`${REQUESTS}_count`, isMeant);
  const failed = rateOf(`${REQUESTS}_count`, (labels) => isMeant(labels) && labels.status >= "500");
  setText("rate", aSecond(rate));
  setText("median", seconds(perSecond.percentileOfAnswers(0.5, isMeant)));
  setText("p99", seconds(perSecond.percentileOfAnswers(0.99, isMeant)));
  setText("errors", rate ? `${((100 * failed) / rate).toFixed(1)} %` : "–");
}

/** Shows pairs of a name and a value, which is a text or a node. */
function showList(id, pairs) {
  element(id).replaceChildren(...pairs.flatMap(([name, value]) => [cell(name, { name: "dt" }), cell(value, { name: "dd" })]));
}

function showHealth(readiness, totals) {
  const isOne = (name) => totals.largest(`recommender_${name}`) > 0;
  const good = (text, isGood) => (isGood ? text : bad(text));
  const lastWrite = totals.largest("recommender_history_last_write_timestamp_seconds");
  const journalled = totals.largest("recommender_history_journalled_events");
  const rejected = totals.largest("recommender_history_rejected_events");
  showList("health", [
    ["Readiness", good(readiness.status, readiness.status === "ready")],
    ["History store", isOne("history_lost") || readiness.history_store !== "reachable" ? bad("lost") : "reachable"],
    ["Writes to it", isOne("history_writes_failing") ? bad("failing") : "working"],
    ["Last write", lastWrite ? time(1_000 * lastWrite) : "none since the start"],
    ["Events in the journal", good(count(journalled), journalled === 0)],
    ["Events set aside", good(count(rejected), rejected === 0)],
    ["Teacher", isOne("teacher_lost") ? bad("lost") : readiness.teacher ?? "–"],
    ["File of keys", isOne("keys_file_refused") ? bad("refused: the keys that were read before are valid") : "in use, or none"],
    ["Store of bundles", isOne("bundle_store_lost") ? bad("lost: the bundle is served on") : "reachable, or none"],
    ["Counts of events", isOne("event_counts_failing") ? bad("not stored or read: popular items are old") : "working, or off"],
    ["Logs", isOne("logs_failing") ? bad("cannot be written") : "written"],
  ]);
}

function showServed(model) {
  setText("model", `${model.student}, ${count(model.num_items)} items, ${model.origin}, protocol ${model.protocol}`
    + (model.trained_until ? `, trained on data until ${time(model.trained_until)}` : ""));
  element("variants").replaceChildren(...model.variants.map((each) => row(
    cell(each.variant, { name: "th" }),
    number(each.weight),
    cell(each.bundle),
    cell(each.model_version.slice(0, 12)),
    cell(each.previous_bundle ?? "–"),
    cell(each.refused ? bad(`a newer bundle is refused: ${each.refused}`) : "served"),
  )));
  showQuality(model);
}

function showQuality({ figures, verdict }) {
  const shown = figures.filter((each) => each.metric === SHOWN_METRIC && each.split === "test" && each.targets === "all");
  element("quality").hidden = shown.length === 0 && !verdict;
  setText("verdict", verdict);
  element("quality-rows").replaceChildren(...shown.map((each) => row(
    cell([each.row, each.student].filter(Boolean).join(", "), { name: "th" }),
    cell(each.metric),
    cell(each.mean.toFixed(4), { className: "number" }),
    cell(`${each.low.toFixed(4)} to ${each.high.toFixed(4)}`),
  )));
}

function showRoutes(totals, perSecond, rateOf) {
  const routes = [...new Set(totals.of(`${REQUESTS}_count`).map(({ labels }) => `${labels.method} ${labels.route}`))].sort();
  element("routes").replaceChildren(...routes.map((name) => {
    const isIt = (labels) => `${labels.method} ${labels.route}` === name;
    const withStatus = (isMeant) => totals.sum(`${REQUESTS}_count`, (labels) => isIt(labels) && isMeant(labels.status));
    return row(
      cell(name, { name: "th" }),
      number(withStatus(() => true)),
      number(aSecond(rateOf(`${REQUESTS}_count`, isIt))),
      number(seconds(perSecond.percentileOfAnswers(0.5, isIt))),
      number(seconds(perSecond.percentileOfAnswers(0.99, isIt))),
      number(withStatus((status) => /^4/.test(status) && status !== "429")),
      number(withStatus((status) => status === "429")),
      number(withStatus((status) => /^5/.test(status))),
    );
  }));
}

function showAdmission(totals, rateOf) {
  const heavy = (state) => count(totals.sum("recommender_heavy_units", (labels) => labels.state === state));
  setText("work", `${count(totals.sum("recommender_requests_in_flight"))} requests in progress; `
    + `units of heavy work: ${heavy("running")} running, ${heavy("queued")} waiting`);
  element("refusals").replaceChildren(...totals.valuesOf(REFUSALS, "reason").map((reason) => {
    const isIt = (labels) => labels.reason === reason;
    return row(
      cell(REASONS[reason] ?? reason, { name: "th" }),
      number(totals.sum(REFUSALS, isIt)),
      number(aSecond(rateOf(REFUSALS, isIt))),
    );
  }));
}

function showKeys(totals, rateOf) {
  const keys = totals.valuesOf(KEYS, "key");
  element("no-keys").hidden = keys.length > 0;
  element("keys-table").hidden = keys.length === 0;
  element("keys").replaceChildren(...keys.map((key) => {
    const isIt = (outcome) => (labels) => labels.key === key && labels.outcome === outcome;
    return row(
      cell(key, { name: "th" }),
      number(totals.sum(KEYS, isIt("answered"))),
      number(aSecond(rateOf(KEYS, isIt("answered")))),
      number(totals.sum(KEYS, isIt("limited"))),
      number(totals.sum(KEYS, isIt("failed"))),
    );
  }));
}

function showLog(totals) {
  const counted = totals.largest("recommender_live_counted_timestamp_seconds");
  setText("counted", counted ? `Live figures were counted ${time(1_000 * counted)}.` : "Live figures were not counted.");
  const rows = totals.valuesOf(LEFT_OUT, "kind").flatMap((kind) =>
    totals.valuesOf(LEFT_OUT, "reason").map((reason) => row(
      cell(kind, { name: "th" }),
      cell(REASONS[reason] ?? reason),
      number(totals.sum(LEFT_OUT, (labels) => labels.kind === kind && labels.reason === reason)),
    )));
  element("left-out").replaceChildren(...rows);
}

function showItems(model, totals) {
  showList("items", [
    ["In the bundle", count(model.num_items)],
    ["Added", count(totals.largest("recommender_added_items"))],
    ["Hidden or changed", count(totals.largest("recommender_edited_items"))],
  ]);
}

function showExperiments(experiments) {
  const comparisons = experiments?.comparisons ?? [];
  setText("experiments", experiments
    ? `Counted ${time(experiments.made_at)}.`
    : "No figures: EXPERIMENTS_PATH is unset, or nothing was counted yet.");
  element("results").replaceChildren(...comparisons.map(({ variant, against, metric, ahead }) =>
    cell(`${variant} against ${against}, ${metric.replaceAll("_", " ")}: ${ahead ? `${ahead} is ahead` : "not shown yet"}`, { name: "li" })));
}
