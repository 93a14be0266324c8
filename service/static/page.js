// The page: a history, and what student and teacher recommend for it.

import * as api from "./api.js";
import { sharesOf, wordsOf } from "./because.js";
import { History } from "./history.js";
import { Ranking } from "./ranking.js";
import { SearchBox } from "./search.js";
import { Session } from "./session.js";
import { duration, signed, withCode } from "./words.js";

const K = 10;
const NEWEST = 8; // of a real history, which may be long
const element = (id) => document.getElementById(id);
const say = (id, text) => { element(id).textContent = text; };

const session = new Session();
const history = new History(remove);
const student = new Ranking("student", look, add);
const teacher = new Ranking("teacher", look, add);
new SearchBox(add, alarm);

let asked = new AbortController();
let explained = new Map();
let looked = null;
let examples = [];

// What the reader does

async function add(item) {
  await change(() => session.append(item), `${item.title} added.`);
}

async function remove(item) {
  await change(() => session.remove(item), `${item.title} removed.`);
}

async function loadExample() {
  const example = examples.shift();
  examples.push(example);
  await change(() => session.replace(example.slice(-NEWEST)), "A real history loaded.");
}

async function forget() {
  await change(() => session.forget(), "Forgotten: the service keeps nothing of this history.");
  element("query").focus();
}

// One change at a time: the next waits for the one before.
let changing = Promise.resolve();

function change(act, words) {
  changing = changing.then(async () => {
    try {
      await act();
      element("alarm").hidden = true;
    } catch (error) {
      alarm(error);
    }
    showHistory();
    // Not waited for: who clicks on need not see what they clicked past.
    showRecommendations(words);
  });
  return changing;
}

function look(itemId) {
  looked = itemId;
  student.highlight(itemId);
  teacher.highlight(itemId);
  history.weigh(explained.get(itemId));
}

function alarm(error) {
  console.error(error);
  say("alarm", error instanceof api.Problem ? error.message : "The service does not answer.");
  element("alarm").hidden = false;
}

// What the page shows

function showHistory() {
  const length = session.history.length;
  history.show(session.history);
  element("forget").hidden = !session.id;
  say("history-note", length
    ? `Kept on the service as session ${session.id.slice(0, 8)}… until you have it forgotten.`
    : "Nothing yet. Search for something you know, or load the history of a real person.");
}

async function showRecommendations(words) {
  asked.abort();
  asked = new AbortController();
  const { signal } = asked;
  explained = new Map();
  teacher.isBusy = true;
  const wanted = session.history.length ? { session_id: session.id, k: K } : { history: [], k: K };
  try {
    await showStudent(wanted, words, signal);
    await Promise.all([showWhy(wanted, signal), showTeacher(wanted, signal)]);
  } catch (error) {
    if (error.name === "AbortError") return;
    alarm(error);
    showNoTeacher("");
  }
}

async function showStudent(wanted, words, signal) {
  const { answer, milliseconds } = await api.recommend(wanted, signal);
  const first = answer.items.slice(0, 3).map((each) => each.title).join(", ");
  say("said", `${words} The student recommends ${first}.`);
  student.show(answer.items);
  say("student-time", duration(milliseconds));
  say("student-note", noteOf(answer));
}

function noteOf(answer) {
  const notes = [];
  if (answer.source === "popular") notes.push("Popular items: there is nothing to go by yet.");
  if (answer.degraded) notes.push("Degraded: made without the history store or the model.");
  if (answer.unknown_items) notes.push(`${answer.unknown_items} of the history unknown.`);
  return notes.join(" ") || "Point at an item to see what drove it.";
}

async function showWhy(wanted, signal) {
  if (!session.history.length) return;
  const { answer } = await api.recommend({ ...wanted, explain: true }, signal);
  const items = session.history;
  explained = new Map(answer.items.map((each) => [each.item_id, sharesOf(each.reasons, items)]));
  student.explain(new Map([...explained].map(([id, shares]) => [id, wordsOf(shares, items)])));
  look(looked);
}

async function showTeacher(wanted, signal) {
  if (!session.history.length) {
    showNoTeacher("The teacher reads histories: add a title.");
    return;
  }
  const stop = runWatch("teacher-time", signal);
  try {
    showComparison(await api.compare(wanted, signal));
  } catch (error) {
    if (!(error instanceof api.Problem && error.status === 503)) throw error;
    showNoTeacher(error.message);
  } finally {
    stop();
  }
}

function showNoTeacher(why) {
  teacher.show([]);
  for (const id of ["teacher-time", "overlap", "correlation"]) say(id, "–");
  element("teacher-note").replaceChildren(...withCode(why));
}

function showComparison({ student: small, teacher: large, overlap, rank_correlation: tau }) {
  say("student-time", duration(small.latency_ms));
  if (!large) {
    showNoTeacher("The teacher did not answer in time: the student stands alone.");
    return;
  }
  const length = Math.max(small.items.length, large.items.length);
  teacher.show(large.items);
  teacher.relate("student", small.items);
  student.relate("teacher", large.items);
  say("teacher-time", duration(large.latency_ms));
  say("overlap", `${Math.round(overlap * length)} of ${length}`);
  say("correlation", signed(tau));
  say("teacher-note", teacherNote(large));
}

function teacherNote({ generated_text: wrote, cached }) {
  const notes = [wrote && `It wrote: “${wrote}”`, cached && "Remembered from earlier."];
  return notes.filter(Boolean).join(" ") || "A dot and a number: its place on the other side.";
}

function runWatch(id, signal) {
  const started = performance.now();
  const tick = () => say(id, duration(performance.now() - started));
  const timer = setInterval(tick, 100);
  const stop = () => clearInterval(timer);
  signal.addEventListener("abort", stop);
  return stop;
}

async function showModel() {
  const model = await api.model();
  say("served", `${model.student}, ${model.num_items.toLocaleString("en")} items`);
  say("provenance", `Model ${model.model_version}`);
}

async function start() {
  element("example").addEventListener("click", loadExample);
  element("forget").addEventListener("click", forget);
  await change(() => session.resume(), "");
  await showModel();
  examples = await api.examples();
  element("example").hidden = examples.length === 0;
}

start().catch(alarm);
