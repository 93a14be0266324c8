// Sums, rates and percentiles of the samples of `GET /v1/operations`, over replicas and labels.

/** A sample per second of the time between two reads of the same replica. */
function rates(now, before) {
  const seconds = (now.read_at - before.read_at) / 1_000;
  const earlier = new Map(before.samples.map((each) => [nameOf(each), each.value]));
  return now.samples.map((each) => {
    const more = each.value - (earlier.get(nameOf(each)) ?? 0);
    // A counter that has fallen belongs to a service that has started again.
    return { ...each, value: (more < 0 ? each.value : more) / seconds };
  });
}

const nameOf = ({ name, labels }) => JSON.stringify([name, ...Object.entries(labels).flat()]);

/** The newest two answers of each replica: behind a balancer, each read may reach another one. */
export class Replicas {
  #newest = new Map();
  #rates = new Map();

  add(answer) {
    const before = this.#newest.get(answer.replica);
    if (before && answer.read_at <= before.read_at) return;
    if (before) this.#rates.set(answer.replica, rates(answer, before));
    this.#newest.set(answer.replica, answer);
  }

  /** Forgets replicas that were read last before `time`, in ms since 1970. */
  forgetBefore(time) {
    for (const [replica, answer] of this.#newest) {
      if (answer.read_at >= time) continue;
      this.#newest.delete(replica);
      this.#rates.delete(replica);
    }
  }

  get size() {
    return this.#newest.size;
  }

  /** Samples since the start of the service. */
  get totals() {
    return new Samples([...this.#newest.values()].flatMap((each) => each.samples));
  }

  /** Samples a second, between the last two reads; empty before the second one. */
  get perSecond() {
    return new Samples([...this.#rates.values()].flat());
  }
}

export class Samples {
  #all;

  constructor(all) {
    this.#all = all;
  }

  get isEmpty() {
    return this.#all.length === 0;
  }

  /** The samples of a metric for which `isMeant(labels)` holds. */
  of(name, isMeant = () => true) {
    return this.#all.filter((each) => each.name === name && isMeant(each.labels));
  }

  sum(name, isMeant) {
    return this.of(name, isMeant).reduce((sum, each) => sum + each.value, 0);
  }

  largest(name, isMeant) {
    return Math.max(0, ...this.of(name, isMeant).map((each) => each.value));
  }

  /** The values of a label, in alphabetical order. */
  valuesOf(name, label) {
    return [...new Set(this.of(name).map((each) => each.labels[label]))].sort();
  }

  /** Estimates a percentile of the seconds of requests that were not refused; null without such. */
  percentileOfAnswers(share, isMeant) {
    return this.percentile(share, "recommender_request_seconds", (labels) => isMeant(labels) && !isRefused(labels));
  }

  /** Estimates a percentile of a histogram as Prometheus does; null if it has no observations. */
  percentile(share, name, isMeant) {
    const atMost = new Map();
    for (const { labels, value } of this.of(`${name}_bucket`, isMeant)) {
      const end = labels.le === "+Inf" ? Infinity : Number(labels.le);
      atMost.set(end, (atMost.get(end) ?? 0) + value);
    }
    const buckets = [...atMost].sort(([one], [other]) => one - other);
    const wanted = share * (buckets.at(-1)?.[1] ?? 0);
    return wanted > 0 ? within(buckets, wanted) : null;
  }
}

/** Whether a request was refused; the metrics count most refusals by their heads, as 0 s. */
const isRefused = ({ status }) => status === "429" || status === "503";

/** Returns the value below which `wanted` observations lie, by the line through their bucket. */
function within(buckets, wanted) {
  const place = buckets.findIndex(([, number]) => number >= wanted);
  const [end, number] = buckets[place];
  const [begin, before] = place ? buckets[place - 1] : [0, 0];
  if (end === Infinity) return begin;
  return begin + ((end - begin) * (wanted - before)) / (number - before);
}
