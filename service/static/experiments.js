// The page of experiments: live figures of each variant, which one is ahead, and drift.

import { Readings } from "./readings.js";
import { cell, count, number, row, time } from "./tables.js";

const REFRESH_MS = 15_000;
const element = (id) => document.getElementById(id);
const METRICS = {
  click_through: "Click-through",
  conversion: "Conversion",
  value: "Value of a list",
  next_item_hit: "Next-item hits",
};

/** Formats a number of a metric: a share in percent, a value with two decimals; `–` without one. */
function amount(metric, number) {
  if (number === null) return "–";
  return metric === "value" ? number.toFixed(2) : `${(100 * number).toFixed(1)} %`;
}

function difference(metric, number) {
  if (number === null) return "–";
  const sign = number > 0 ? "+" : number < 0 ? "−" : "";
  return sign + amount(metric, Math.abs(number));
}

/** Returns the estimate of a metric with its interval, as text and drawn on a scale up to `largest`. */
function interval(metric, { estimate, low, high }, largest) {
  const ends = cell(`${amount(metric, low)} to ${amount(metric, high)}`, { name: "span", className: "ends" });
  if (estimate === null || low === null || high === null) return cell([amount(metric, estimate), ends]);
  const scale = cell([], { name: "span", className: "scale" });
  const share = (number) => Math.min(1, Math.max(0, number / (largest || 1)));
  scale.style.setProperty("--low", share(low));
  scale.style.setProperty("--high", share(high));
  scale.style.setProperty("--estimate", share(estimate));
  return cell([amount(metric, estimate), ends, scale]);
}

function showFigures(figures) {
  const largest = (metric) => Math.max(0, ...figures.map((each) => each[metric].high ?? 0));
  const scales = Object.keys(METRICS).map((metric) => [metric, largest(metric)]);
  element("figures").replaceChildren(...figures.map((each) => row(
    cell(each.variant, { name: "th" }),
    cell(each.model_version.slice(0, 12)),
    cell(each.source),
    number(each.impressions),
    ...scales.map(([metric, end]) => interval(metric, each[metric], end)),
  )));
}

function result({ ahead, impressions_for_a_tenth: needed }) {
  if (ahead) return cell(`${ahead} is ahead`, { className: "ahead" });
  const more = needed ? `: a difference of a tenth takes about ${count(needed)} lists of each` : "";
  return cell(`not shown yet${more}`, { className: "undecided" });
}

function showComparisons(comparisons) {
  element("compared").hidden = comparisons.length === 0;
  element("comparisons").replaceChildren(...comparisons.map((each) => row(
    cell(each.variant, { name: "th" }),
    cell(METRICS[each.metric]),
    cell(difference(each.metric, each.difference.estimate)),
    cell(`${difference(each.metric, each.difference.low)} to ${difference(each.metric, each.difference.high)}`),
    result(each),
  )));
}

function showDrift(drift) {
  element("drift").hidden = !drift;
  if (!drift) return;
  element("drift-note").textContent = `${count(drift.events)} events since ${time(drift.begin)}, against model ${drift.model_version}`;
  for (const name of ["unknown_items", "head", "head_in_training", "busiest_session"]) {
    element(name.replaceAll("_", "-")).textContent = amount(name, drift[name]);
  }
}

function show({ made_at: madeAt, figures, comparisons, drift }) {
  showFigures(figures);
  showComparisons(comparisons);
  showDrift(drift);
  return `Counted ${time(madeAt)}`;
}

const read = (client, signal) => client.get("/v1/experiments", { signal });

new Readings({ content: "report", everyMs: REFRESH_MS, read, show }).refresh();
