// A SockJS client to be told what to do: node sockjs_client.mjs URL TRANSPORT...
// Takes lines of JSON: a string, sent as text; {"close": [CODE, REASON]}; an array, whose strings are sent at once.
// Prints lines of JSON: {"open": TRANSPORT}; {"text": TEXT}; {"closed": [CODE, REASON]}.

import { createInterface } from 'node:readline';
import SockJS from 'sockjs-client';

const [url, ...transports] = process.argv.slice(2);

function print(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

const socket = new SockJS(url, null, { transports });
socket.onopen = () => print({ open: socket.transport });
socket.onmessage = ({ data }) => print({ text: data });
socket.onclose = ({ code, reason }) => print({ closed: [code, reason] });

createInterface({ input: process.stdin }).on('line', (line) => {
  const told = JSON.parse(line);
  if (typeof told === 'string') {
    socket.send(told);
  } else if (Array.isArray(told)) {
    told.forEach((message) => socket.send(message));
  } else {
    socket.close(...told.close);
  }
});
