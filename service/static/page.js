// The page: a history, and the recommendations of student and teacher for it.

import * as api from "./api.js";
import { reasonText, sharesOf } from "./because.js";
import { History } from "./history.js";
import { Ranking } from "./ranking.js";
import { SearchBox } from "./search.js";
import { Session } from "./session.js";
import { duration, signed, withCode } from "./words.js";

const K = 10;
const MAX_EXAMPLE_LENGTH = 8; // the history of a user may be too long for the page
const element = (id) => document.getElementById(id);
const setText = (id, text) => { element(id).textContent = text; };

const session = new Session();
const history = new History(remove);
const student = new Ranking("student", lookAt, add);
const teacher = new Ranking("teacher", lookAt, add);
new SearchBox(add, alarm);

let pending = new AbortController(); // aborts the requests for outdated recommendations
let sharesOfItem = new Map(); // by id of a recommended item: the shares of the history's items
let lookedAtId = null;
let examples = [];

// Actions of the visitor

async function add(item) {
  await change(() => session.append(item), `${item.title} added.`);
}

async function remove(item) {
  await change(() => session.remove(item), `${item.title} removed.`);
}

async function loadExample() {
  const example = examples.shift();
  examples.push(example);
  await change(() => session.replace(example.slice(-MAX_EXAMPLE_LENGTH)), "Example loaded.");
}

async function forget() {
  await change(() => session.forget(), "Forgotten: the service has erased this history.");
  element("query").focus();
}

// Changes run one after another.
let lastChange = Promise.resolve();

/** Runs `act`, which changes the session, then shows the page; screen readers read `announcement`. */
function change(act, announcement) {
  lastChange = lastChange.then(async () => {
    try {
      await act();
      element("alarm").hidden = true;
    } catch (error) {
      alarm(error);
    }
    showHistory();
    // Not awaited, because the next change will replace these recommendations anyway.
    showRecommendations(announcement);
  });
  return lastChange;
}

/** Highlights a recommended item in both lists, and the items of the history that led to it. */
function lookAt(itemId) {
  lookedAtId = itemId;
  student.highlight(itemId);
  teacher.highlight(itemId);
  history.showShares(sharesOfItem.get(itemId));
}

function alarm(error) {
  console.error(error);
  setText("alarm", api.messageOf(error));
  element("alarm").hidden = false;
}

// Parts of the page

function showHistory() {
  const length = session.history.length;
  history.show(session.history);
  element("forget").hidden = !session.id;
  setText("history-note", length
    ? `Stored by the service as session ${session.id.slice(0, 8)}… until you choose “Forget me”.`
    : `Empty. Search for a title that you know${examples.length ? ", or load an example" : ""}.`);
}

async function showRecommendations(announcement) {
  pending.abort();
  pending = new AbortController();
  const { signal } = pending;
  sharesOfItem = new Map();
  teacher.isBusy = true;
  const query = session.history.length ? { session_id: session.id, k: K } : { history: [], k: K };
  try {
    await showStudent(query, announcement, signal);
    await Promise.all([showReasons(query, signal), showTeacher(query, signal)]);
  } catch (error) {
    if (error.name === "AbortError") return;
    alarm(error);
    showNoTeacher("");
  }
}

async function showStudent(query, announcement, signal) {
  const { answer, milliseconds } = await api.recommend(query, signal);
  const first = answer.items.slice(0, 3).map((each) => each.title).join(", ");
  setText("announcement", `${announcement} The student recommends ${first}.`);
  student.show(answer.items);
  setText("student-time", duration(milliseconds));
  setText("student-note", studentNote(answer));
}

function studentNote(answer) {
  const notes = [];
  if (answer.source === "popular") notes.push("Popular items: there is no history to recommend from yet.");
  if (answer.degraded) notes.push("Degraded: the history store or the student did not answer.");
  if (answer.unknown_items) notes.push(`Items of the history that the model does not know: ${answer.unknown_items}.`);
  return notes.join(" ") || "Point at an item to see which titles led to it.";
}

async function showReasons(query, signal) {
  if (!session.history.length) return;
  const { answer } = await api.recommend({ ...query, explain: true }, signal);
  const items = session.history;
  sharesOfItem = new Map(answer.items.map((each) => [each.item_id, sharesOf(each.reasons, items)]));
  student.explain(new Map([...sharesOfItem].map(([id, shares]) => [id, reasonText(shares, items)])));
  lookAt(lookedAtId);
}

// Also called for an empty history, because only the answer tells whether a teacher is connected.
async function showTeacher(query, signal) {
  const stop = runClock("teacher-time", signal);
  try {
    showComparison(await api.compare(query, signal));
  } catch (error) {
    // Comparing needs a scope of its own: a key without it, or no key, is no fault of the page.
    if (!api.isRefusal(error, 401, 403, 503)) throw error;
    showNoTeacher(error.status === 503 ? error.message : `No comparison: ${error.message}.`);
  } finally {
    stop();
  }
}

function showNoTeacher(reason) {
  teacher.show([]);
  for (const id of ["teacher-time", "overlap", "correlation"]) setText(id, "–");
  element("teacher-note").replaceChildren(...withCode(reason));
}

// The page promises a comparison only if a teacher is connected.
const COMPARING = "A language model taught a small one. Give both the same history and compare what they "
  + "recommend, and how long they take.";

function showComparison({ student: small, teacher: large, overlap, rank_correlation: tau }) {
  setText("opening", COMPARING);
  if (!large) {
    showNoTeacher(session.history.length
      ? "The teacher did not answer: there is nothing to compare with."
      : "The teacher needs a history: add a title.");
    return;
  }
  setText("student-time", duration(small.latency_ms));
  const length = Math.max(small.items.length, large.items.length);
  teacher.show(large.items);
  teacher.showRanksIn("student", small.items);
  student.showRanksIn("teacher", large.items);
  setText("teacher-time", duration(large.latency_ms));
  setText("overlap", `${Math.round(overlap * length)} of ${length}`);
  setText("correlation", signed(tau));
  setText("teacher-note", teacherNote(large));
}

function teacherNote({ generated_text: wrote, cached }) {
  const notes = [wrote && `It wrote: “${wrote}”`, cached && "From the cache."];
  return notes.filter(Boolean).join(" ") || "A dot and a number show an item’s rank in the other list.";
}

/** Shows the elapsed time until the returned function is called. */
function runClock(id, signal) {
  const started = performance.now();
  const tick = () => setText(id, duration(performance.now() - started));
  const timer = setInterval(tick, 100);
  const stop = () => clearInterval(timer);
  signal.addEventListener("abort", stop);
  return stop;
}

async function showModel() {
  const model = await api.model();
  setText("served", `${model.student}, ${model.num_items.toLocaleString("en")} items`);
  setText("provenance", `Model ${model.model_version}`);
}

async function start() {
  element("example").addEventListener("click", loadExample);
  element("forget").addEventListener("click", forget);
  await change(() => session.resume(), "");
  await showModel();
  examples = await api.examples();
  element("example").hidden = examples.length === 0;
  showHistory();
}

start().catch(alarm);
