// An Express backend on @fanoutio/serve-grip and @fanoutio/grip, as their READMEs have it.
// Environment: PORT to listen on, GRIP_URL of the publish port with its keys.

import { Channel, HttpResponseFormat, HttpStreamFormat, WebSocketMessageFormat } from '@fanoutio/grip';
import { ServeGrip } from '@fanoutio/serve-grip';
import express from 'express';

const serveGrip = new ServeGrip({ grip: process.env.GRIP_URL, prefix: 'js-' });
const publisher = serveGrip.getPublisher();
const app = express();
app.use(serveGrip);
app.use(express.text({ type: '*/*' }));

app.get('/whoami', (req, res) => {
  res.json({ proxied: req.grip.isProxied, signed: req.grip.isSigned });
});

// Two writes make a chunked answer.
app.get('/stream/:channel', (req, res) => {
  const instruct = res.grip.startInstruct();
  instruct.addChannel(new Channel(req.params.channel));
  instruct.setHoldStream();
  res.type('text/plain');
  res.write('open');
  res.end('ed\n');
});

app.get('/poll/:channel', (req, res) => {
  const instruct = res.grip.startInstruct();
  instruct.addChannel(req.params.channel);
  instruct.setHoldLongPoll(30);
  instruct.setStatus(404);
  res.set('X-Kept', 'from the hold').set('X-Said', 'by the hold').type('text/plain').send('nothing came\n');
});

app.post('/publish/stream/:channel', async (req, res) => {
  await publisher.publishHttpStream(req.params.channel, req.body);
  res.json({ ok: true });
});

app.post('/publish/bytes/:channel', async (req, res) => {
  await publisher.publishHttpStream(req.params.channel, new HttpStreamFormat(Buffer.from(req.body, 'base64')));
  res.json({ ok: true });
});

app.post('/publish/many/:channel', async (req, res) => {
  const lines = req.body.split('\n');
  await Promise.all(lines.map((line) => publisher.publishHttpStream(req.params.channel, `${line}\n`)));
  res.json({ ok: true });
});

app.post('/publish/response/:channel', async (req, res) => {
  const answer = new HttpResponseFormat({
    code: 201, reason: 'Made', headers: { 'X-Said': 'by the publisher' }, body: req.body,
  });
  await publisher.publishHttpResponse(req.params.channel, answer);
  res.json({ ok: true });
});

app.post('/publish/close/:channel', async (req, res) => {
  await publisher.publishHttpStream(req.params.channel, new HttpStreamFormat(null, true));
  res.json({ ok: true });
});

// -- WebSockets: what tests/interop/conversation.py says, in JavaScript ------------------------------------------

app.post('/socket/:channel', async (req, res) => {
  const { channel } = req.params;
  const { wsContext, isSigned: signed } = req.grip;
  if (wsContext.isOpening()) {
    wsContext.accept();
    wsContext.subscribe(`js-${channel}`); // serve-grip 2.0.0 forgets the prefix here, and adds it to what is published
    wsContext.meta.user = 'alice';
    wsContext.send('opened');
  }
  while (wsContext.canRecv()) {
    let message;
    try {
      message = wsContext.recvRaw();
    } catch {
      await publisher.publishFormats(channel, new WebSocketMessageFormat('somebody has vanished'));
      break;
    }
    if (message === null) {
      wsContext.close(wsContext.closeCode);
    } else if (typeof message !== 'string') {
      wsContext.sendBinary(message);
    } else if (message === 'whoami') {
      wsContext.send(JSON.stringify({ id: wsContext.id, meta: wsContext.meta, signed }));
    } else if (message === 'detach') {
      wsContext.send('detaching');
      wsContext.detach();
    } else if (message === 'close') {
      wsContext.close();
    } else if (message.startsWith('close ')) {
      wsContext.close(Number(message.slice(6)));
    } else {
      wsContext.send(message);
    }
  }
  res.end();
});

app.post('/socket/:channel/refused', (req, res) => {
  res.status(403).set('X-By', 'Express').type('text/plain').send(`not on ${req.params.channel}\n`);
});

app.post('/publish/message/:channel', async (req, res) => {
  await publisher.publishFormats(req.params.channel, new WebSocketMessageFormat(req.body));
  res.json({ ok: true });
});

app.post('/publish/binary/:channel', async (req, res) => {
  await publisher.publishFormats(req.params.channel, new WebSocketMessageFormat(Buffer.from(req.body, 'hex')));
  res.json({ ok: true });
});

app.post('/publish/leave/:channel', async (req, res) => {
  const code = typeof req.body === 'string' && req.body ? Number(req.body) : undefined;
  await publisher.publishFormats(req.params.channel, new WebSocketMessageFormat(null, true, code));
  res.json({ ok: true });
});

app.listen(Number(process.env.PORT), '127.0.0.1');
