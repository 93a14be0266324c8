// The page of operations: reads the figures of all replicas and shows them.

import { messageOf } from "./api.js";
import { show } from "./operations_figures.js";
import { Readings } from "./readings.js";
import { NotFoundError } from "./recommender-client.js";
import { Replicas } from "./samples.js";
import { time } from "./tables.js";

const REFRESH_MS = 5_000;
const REPLICA_LASTS_MS = 60_000;

let replicas = new Replicas();

/** Reads everything that the page shows. */
async function read(client, signal) {
  const [operations, readiness, experiments] = await Promise.all([
    client.get("/v1/operations", { signal }),
    client.get("/readyz", { signal }).catch((error) => ({ status: messageOf(error) })),
    client.get("/v1/experiments", { signal }).catch(orNull),
  ]);
  return { operations, readiness, experiments };
}

/** A service without live figures has no experiments to show. */
function orNull(error) {
  if (error instanceof NotFoundError) return null;
  throw error;
}

function showReading(found) {
  const { read_at: readAt } = found.operations;
  replicas.add(found.operations);
  replicas.forgetBefore(readAt - REPLICA_LASTS_MS);
  show({ ...found, replicas });
  const others = replicas.size > 1 ? `, ${replicas.size} replicas` : "";
  return `Read ${time(readAt)}${others}`;
}

function forget() {
  replicas = new Replicas();
}

const page = { content: "figures", everyMs: REFRESH_MS, read, show: showReading, forget };
new Readings(page).refresh();
