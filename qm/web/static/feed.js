// Asks one question again and again: every two seconds, less often while nobody answers, never in a hidden tab.

import * as connection from "./connection.js";
import { hear } from "./time.js";

const EVERY = 2000;
const SLOWEST = 30000;
const PATIENCE = 10000;

/** A feed of answers to `url`. `news(data)` gets each answer, the same one again where nothing is new; `refused`
 * gets {code, message, hint, status} where the question itself is wrong, and then it is asked no more. */
export class Feed {
  #url;
  #news;
  #refused;
  #tag = null;
  #data = null;
  #pause = EVERY;
  #timer = null;
  #asking = null;
  #closed = false;

  constructor(url, news, refused) {
    this.#url = url;
    this.#news = news;
    this.#refused = refused;
    document.addEventListener("visibilitychange", this.#turn);
    this.now();
  }

  /** Asks at once. */
  now() {
    this.#pause = EVERY;
    this.#ask();
  }

  /** Asks no more. */
  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#asking?.abort();
    document.removeEventListener("visibilitychange", this.#turn);
  }

  #turn = () => {
    if (document.hidden) clearTimeout(this.#timer);
    else this.now();
  };

  async #ask() {
    if (this.#asking || this.#closed) return;
    clearTimeout(this.#timer);
    this.#asking = new AbortController();
    const cut = setTimeout(() => this.#asking?.abort(), PATIENCE);
    try {
      const answer = await ask(this.#url, this.#tag, this.#asking.signal);
      if (!this.#closed) this.#take(answer);
    } catch {
      if (!this.#closed) this.#lose("qmanager does not answer", "It is stopped, or the way to it is cut.");
    } finally {
      clearTimeout(cut);
      this.#asking = null;
      if (!this.#closed && !document.hidden) this.#timer = setTimeout(() => this.#ask(), this.#pause);
    }
  }

  #take({ status, tag, data }) {
    if (status === 200) {
      this.#tag = tag;
      this.#data = data;
    }
    if (status === 200 || status === 304) {
      this.#pause = EVERY;
      connection.fine();
      this.#news(this.#data);
    } else if (status < 500) {
      connection.fine();
      this.close();
      this.#refused({ status, ...data?.error });
    } else {
      this.#lose(data?.error?.message ?? `the answer was ${status}`, data?.error?.hint);
    }
  }

  #lose(message, hint) {
    this.#pause = Math.min(SLOWEST, this.#pause * 1.5);
    connection.away(message, hint);
  }
}

/** One answer: its status, tag and data. Raises where there is none. */
export async function ask(url, tag = null, signal = AbortSignal.timeout(PATIENCE)) {
  const headers = { Accept: "application/json", ...(tag ? { "If-None-Match": tag } : {}) };
  const response = await fetch(url, { headers, cache: "no-store", credentials: "same-origin", signal });
  hear(response.headers.get("Date"));
  const json = response.headers.get("Content-Type")?.startsWith("application/json");
  return { status: response.status, tag: response.headers.get("ETag"), data: json ? await response.json() : null };
}
