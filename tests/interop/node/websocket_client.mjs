// A WebSocket client to be told what to do: node websocket_client.mjs LIBRARY URL
// Takes lines of JSON: a string, sent as text; {"bytes": HEX}; {"close": [CODE, REASON]}, either of which may be missing.
// Prints lines of JSON: "open"; {"text": TEXT}; {"bytes": HEX}; {"closed": [CODE, REASON]}.

import { createInterface } from 'node:readline';
import ReconnectingWebSocket from 'reconnecting-websocket';
import WebSocketOfWs from 'ws';

const [library, url] = process.argv.slice(2);

function print(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

const openers = {
  'ws': () => new WebSocketOfWs(url),
  'reconnecting-websocket': () => new ReconnectingWebSocket(url, [], {
    WebSocket: WebSocketOfWs, minReconnectionDelay: 10, maxReconnectionDelay: 10,
  }),
  'node': () => new WebSocket(url), // Node's own, of undici
};

const socket = openers[library]();
socket.binaryType = 'arraybuffer';
socket.addEventListener('open', () => print('open'));
socket.addEventListener('message', ({ data }) => {
  print(typeof data === 'string' ? { text: data } : { bytes: Buffer.from(data).toString('hex') });
});
socket.addEventListener('close', ({ code, reason }) => print({ closed: [code, reason] }));
socket.addEventListener('error', ({ message }) => print({ error: message ?? '' }));

createInterface({ input: process.stdin }).on('line', (line) => {
  const told = JSON.parse(line);
  if (typeof told === 'string') {
    socket.send(told);
  } else if ('bytes' in told) {
    socket.send(Buffer.from(told.bytes, 'hex'));
  } else {
    socket.close(...told.close);
  }
});
