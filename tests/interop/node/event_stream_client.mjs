// Prints each event that a library's client gets, as a line of JSON: node event_stream_client.mjs LIBRARY URL

import { fetchEventSource } from '@microsoft/fetch-event-source';
import { EventSource } from 'eventsource';

const [library, url] = process.argv.slice(2);

function print(type, id, data) {
  process.stdout.write(`${JSON.stringify({ type, id, data })}\n`);
}

function readByEventSource() {
  setInterval(() => {}, 60_000); // while it waits to reconnect, it lets the process end
  const source = new EventSource(url);
  for (const type of ['message', 'note']) {
    source.addEventListener(type, (event) => print(type, event.lastEventId, event.data));
  }
}

function readByFetch() {
  // Made for browsers: it asks for these two.
  globalThis.window = globalThis;
  globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
  fetchEventSource(url, {
    onmessage: (event) => print(event.event || 'message', event.id, event.data),
    onclose: () => { throw new Error('closed, so come back: its README asks for this'); },
  });
}

const readers = { 'eventsource': readByEventSource, 'fetch-event-source': readByFetch };
readers[library]();
