// The clients of mercure_client.mjs that run in a page. `print` is the page's way out.

import { fetchEventSource } from '/fetch.js';
import '/polyfill.js';

const PAUSE = 50; // milliseconds; EventSource and its kin get theirs from the updates' `retry`
const pause = () => new Promise((resolve) => setTimeout(resolve, PAUSE));

function printAll(source) {
  for (const name of ['message', 'note']) {
    source.addEventListener(name, ({ type, lastEventId, data }) => print({ type, id: lastEventId, data }));
  }
  source.addEventListener('error', ({ status }) => {
    if (source.readyState === EventSource.CLOSED) print({ type: 'closed', id: '', data: String(status ?? '') });
  });
}

function polyfilled(url, token, options) {
  printAll(new EventSourcePolyfill(url, { headers: { Authorization: `Bearer ${token}` }, ...options }));
}

export const clients = {
  'EventSource': ({ url }) => printAll(new EventSource(url, { withCredentials: true })),

  'event-source-polyfill': ({ url, token, cursor }) => {
    polyfilled(url, token, { lastEventIdQueryParameterName: cursor });
  },

  // Its cursor is called lastEventId then, and stands behind the one that the page's URL has.
  'event-source-polyfill as it comes': ({ url, token }) => polyfilled(url, token, {}),

  'fetch-event-source': ({ url, token }) => fetchEventSource(url, {
    headers: { Authorization: `Bearer ${token}` },
    onmessage: ({ event, id, data }) => print({ type: event || 'message', id, data }),
    onclose: () => { throw new Error('closed, so come back: its README asks for this'); },
  }),

  'WebSocket': ({ url, cursor }) => {
    const address = new URL(url.replace('http', 'ws'));
    const connect = () => {
      const socket = new WebSocket(address);
      socket.onmessage = ({ data }) => {
        const { id, type = 'message', data: text } = JSON.parse(data);
        address.searchParams.set(cursor, id);
        print({ type, id, data: text });
      };
      socket.onclose = () => pause().then(connect);
    };
    connect();
  },

  'publisher': async ({ url }) => {
    const { origin, pathname, searchParams } = new URL(url);
    const body = new URLSearchParams({ topic: searchParams.get('match'), data: 'from a page' });
    try {
      const response = await fetch(origin + pathname, { method: 'POST', credentials: 'include', body });
      print({ type: `answered ${response.status}`, id: await response.text(), data: '' });
    } catch (error) {
      print({ type: error.name, id: '', data: '' });
    }
  },

  'long poll': async ({ url, token, cursor }) => {
    const address = new URL(url);
    address.searchParams.set('poll', '20');
    for (;;) {
      try {
        const response = await fetch(address, { headers: { Authorization: `Bearer ${token}` } });
        const { last_event_id: last, updates } = await response.json();
        address.searchParams.set(cursor, last);
        for (const { id, type = 'message', data } of updates) print({ type, id, data });
      } catch (error) {
        if (!(error instanceof TypeError)) throw error; // fetch's word for a broken connection
        await pause();
      }
    }
  },
};
