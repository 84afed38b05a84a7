// Follows the ledger by server-sent events. The stream names only the last position, so it stays small however much is
// recorded; the page then asks for what it shows. `fetch` reads the stream, because EventSource cannot send a token.

import { authorization, query } from "./client.js";

const AGAIN = [500, 1000, 2000, 5000, 10000];

/// Calls `onHead` with each new last position, and `onState` with `live`, `waiting` or `hidden`.
export class Live {
  constructor(onHead, onState) {
    this.onHead = onHead;
    this.onState = onState;
    this.head = null;
    this.failures = 0;
    document.addEventListener("visibilitychange", () => this.begin());
  }

  /// Starts after a position, or continues where it was.
  begin(head = this.head) {
    this.end();
    this.head = head;
    // A hidden tab would keep one of the few connections that a browser opens to a server.
    if (document.hidden) return this.onState("hidden");
    this.abort = new AbortController();
    this.follow(this.abort.signal);
    return undefined;
  }

  end() {
    this.abort?.abort();
    clearTimeout(this.timer);
  }

  async follow(signal) {
    try {
      const path = `/api/v1/events/stream${query({ heads: true, after: this.head })}`;
      const response = await fetch(path, { headers: authorization(), signal, cache: "no-store" });
      if (response.status === 404) this.head = null; // another ledger
      if (!response.ok) throw new Error(`status ${response.status}`);
      this.failures = 0;
      this.onState("live");
      await this.read(response.body.pipeThrough(new TextDecoderStream()).getReader());
    } catch (error) {
      if (signal.aborted) return;
    }
    if (signal.aborted) return;
    this.onState("waiting");
    const wait = AGAIN[Math.min(this.failures, AGAIN.length - 1)];
    this.failures += 1;
    this.timer = setTimeout(() => this.begin(), wait);
  }

  async read(reader) {
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      text += value;
      const events = text.split("\n\n");
      text = events.pop();
      for (const event of events) {
        const id = /^id: (\d+)$/m.exec(event);
        if (id) {
          this.head = Number(id[1]);
          this.onHead(this.head);
        }
      }
    }
  }
}
