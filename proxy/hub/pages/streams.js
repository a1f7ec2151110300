// Two ways to receive a hub's updates, with one shape: `new Stream(url, handlers).close()`. The handlers are
// `onState(state)`, `onUpdate({ id, type, data })`, `onCursor(id)` with the hub's answer to the cursor that was asked
// for, and `onProblem(text)`, after which the stream is closed.

const RETRY = 3000; // milliseconds until the next try, unless the hub says otherwise

// What every client in a browser can do. It reconnects by itself, sends cookies and no headers, and shows only those
// types of events that it was asked to listen for.
export class NativeStream {
  constructor(url, { types, onState, onUpdate, onProblem }) {
    this.source = new EventSource(url, { withCredentials: true });
    const take = (event) => onUpdate({ id: event.lastEventId, type: event.type, data: event.data });
    for (const type of new Set(['message', ...types])) this.source.addEventListener(type, take);
    onState('connecting');
    this.source.onopen = () => onState('live');
    this.source.onerror = () => {
      if (this.source.readyState !== EventSource.CLOSED) return onState('reconnecting');
      onState('');
      return onProblem('Refused. EventSource does not say why: receive by fetch to see the answer.');
    };
  }

  close() {
    this.source.close();
  }
}

// The same with fetch: sends the token in a header, sees every type, the hub's headers, and the text of a refusal.
export class FetchStream {
  constructor(url, { request, onState, onUpdate, onCursor = () => {}, onProblem }) {
    Object.assign(this, { url, request, onState, onUpdate, onCursor, onProblem });
    this.ending = new AbortController();
    this.lastId = null;
    this.retry = RETRY;
    this.run();
  }

  close() {
    this.ending.abort();
  }

  async run() {
    this.onState('connecting');
    while (!this.ending.signal.aborted) {
      try {
        const refusal = await this.receive();
        if (refusal) {
          this.close();
          this.onState('');
          this.onProblem(refusal);
          return;
        }
      } catch (error) {
        if (this.ending.signal.aborted) return;
        if (!(error instanceof TypeError)) throw error; // a TypeError is fetch's word for a broken connection
      }
      this.onState('reconnecting');
      await new Promise((resolve) => setTimeout(resolve, this.retry));
    }
  }

  // Returns why the hub refuses, or nothing when the stream has come to its end.
  async receive() {
    const headers = { ...this.request.headers, Accept: 'text/event-stream' };
    // A header's value is bytes; ids are UTF-8.
    if (this.lastId) headers['Last-Event-ID'] = String.fromCharCode(...new TextEncoder().encode(this.lastId));
    const response = await fetch(this.url, { ...this.request, headers, cache: 'no-store', signal: this.ending.signal });
    if (!response.ok) return describe(response);
    this.onState('live');
    this.onCursor(headerText(response, 'Mercure-Last-Event-ID') ?? headerText(response, 'Last-Event-ID'));
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new EventParser();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return '';
      for (const update of parser.feed(value)) {
        this.lastId = update.id;
        if (update.retry !== null) this.retry = update.retry;
        if (update.hasData) this.onUpdate(update);
      }
    }
  }
}

// The event stream format of the HTML standard, section "Interpreting an event stream".
export class EventParser {
  constructor() {
    this.rest = '';
    this.id = '';
    this.begin();
  }

  begin() {
    this.type = '';
    this.retry = null;
    this.lines = [];
  }

  feed(text) {
    const found = [];
    this.rest += text;
    for (;;) {
      const end = /\r\n|\n|\r(?!$)/.exec(this.rest); // a CR that comes last may be half of a CRLF
      if (!end) return found;
      const line = this.rest.slice(0, end.index);
      this.rest = this.rest.slice(end.index + end[0].length);
      if (line) this.field(line);
      else found.push(this.dispatch());
    }
  }

  field(line) {
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'data') this.lines.push(value);
    else if (name === 'event') this.type = value;
    else if (name === 'id' && !value.includes('\0')) this.id = value;
    else if (name === 'retry' && /^\d+$/.test(value)) this.retry = Number(value);
  }

  dispatch() {
    const { id, retry, lines } = this;
    const update = { id, retry, type: this.type || 'message', data: lines.join('\n'), hasData: lines.length > 0 };
    this.begin();
    return update;
  }
}

// Status, text and challenge of a refusal.
export async function describe(response) {
  const challenge = headerText(response, 'WWW-Authenticate');
  const lines = [`${response.status} ${(await response.text()).trim() || response.statusText}`, challenge];
  return lines.filter(Boolean).join('\n');
}

// fetch reads headers as Latin-1, and ids in them are UTF-8.
export function headerText(response, name) {
  const value = response.headers.get(name);
  if (value === null) return null;
  return new TextDecoder().decode(Uint8Array.from(value, (letter) => letter.charCodeAt(0)));
}
