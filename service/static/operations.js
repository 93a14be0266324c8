// The page of operations: asks for a key, reads the figures again and again, and shows them.

import { messageOf } from "./api.js";
import { show } from "./operations_figures.js";
import { Client, ForbiddenError, NotFoundError, ProblemError, UnauthorizedError } from "./recommender-client.js";
import { Replicas } from "./samples.js";
import { time } from "./tables.js";

const REFRESH_MS = 5_000;
const REPLICA_LASTS_MS = 60_000;
const KEY = "admin-key"; // of this tab only
const element = (id) => document.getElementById(id);

// Not repeated, because the next reading comes soon anyway.
const client = new Client("", { key: () => sessionStorage.getItem(KEY), repeats: 0, timeoutMs: 2 * REFRESH_MS });
let replicas = new Replicas();
let timer = null;

/** Reads everything that the page shows. */
async function read() {
  const [operations, readiness, experiments] = await Promise.all([
    client.get("/v1/operations"),
    client.get("/readyz").catch((error) => ({ status: messageOf(error) })),
    client.get("/v1/experiments").catch(orNull),
  ]);
  replicas.add(operations);
  replicas.forgetBefore(operations.read_at - REPLICA_LASTS_MS);
  return { operations, readiness, experiments, replicas };
}

/** A service without live figures has no experiments to show. */
function orNull(error) {
  if (error instanceof NotFoundError) return null;
  throw error;
}

async function refresh() {
  clearTimeout(timer);
  try {
    const found = await read();
    show(found);
    const others = replicas.size > 1 ? `, ${replicas.size} replicas` : "";
    element("read").textContent = `Read ${time(found.operations.read_at)}${others}`;
    element("figures").hidden = false;
    element("key-form").hidden = true;
    element("alarm").hidden = true;
  } catch (error) {
    alarm(error);
    if (error instanceof UnauthorizedError || error instanceof ForbiddenError) {
      askForKey();
      return;
    }
  }
  element("forget-key").hidden = sessionStorage.getItem(KEY) === null;
  timer = setTimeout(refresh, REFRESH_MS);
}

function alarm(error) {
  if (!(error instanceof ProblemError)) console.error(error);
  element("alarm").textContent = messageOf(error);
  element("alarm").hidden = false;
}

/** Hides the figures, which are for operators only, and shows the form for a key. */
function askForKey() {
  replicas = new Replicas();
  element("figures").hidden = true;
  element("forget-key").hidden = true;
  element("key-form").hidden = false;
  element("key").focus();
}

element("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, element("key").value.trim());
  element("key").value = "";
  refresh();
});

element("forget-key").addEventListener("click", () => {
  sessionStorage.removeItem(KEY);
  refresh();
});

refresh();
