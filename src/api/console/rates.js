// Rates, from counters that are read again and again.

// Seconds that are kept.
export const SPAN = 120;

export class Rates {
  #last = new Map();
  #lines = new Map();

  // Counters by name, read at a time in seconds. One that falls has begun anew: no rate until it is read again.
  read(now, counters) {
    for (const [name, value] of Object.entries(counters)) {
      const before = this.#last.get(name);
      this.#last.set(name, { now, value });
      const known = before && value >= before.value && now > before.now;
      this.#add(name, now, known ? (value - before.value) / (now - before.now) : null);
    }
    for (const [name, { now: seen }] of this.#last) {
      if (seen === now) continue;
      this.#last.delete(name);
      this.#lines.delete(name);
    }
  }

  // What follows has nothing to do with what was read before.
  forget() {
    this.#last.clear();
  }

  #add(name, time, value) {
    const line = (this.#lines.get(name) ?? []).filter((point) => point.time > time - SPAN - 2);
    line.push({ time, value });
    this.#lines.set(name, line);
  }

  // Points `{time, value}`, where `value` may be null.
  line(name) {
    return this.#lines.get(name) ?? [];
  }

  latest(name) {
    return this.line(name).at(-1)?.value ?? null;
  }
}
