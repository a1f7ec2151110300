// Prints each update that a client gets from a hub, as a line of JSON: node mercure_client.mjs CLIENT OPTIONS
// OPTIONS is JSON: url, token, cursor (the name of the URL's cursor), and for the clients that run in a browser, which
// are those of mercure_page.mjs: chromium, pagePort (of the page, which is of another origin than the hub), and cookie,
// which that page sets for those that can send no header.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { EventSource } from 'eventsource';
import { chromium } from 'playwright-core';

const [client, json] = process.argv.slice(2);
const options = JSON.parse(json);
const print = (update) => process.stdout.write(`${JSON.stringify(update)}\n`);

function readByEventSource({ url, token }) {
  setInterval(() => {}, 60_000); // while it waits to reconnect, it lets the process end
  const withToken = (input, init) => {
    return fetch(input, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } });
  };
  const source = new EventSource(url, { fetch: withToken });
  for (const name of ['message', 'note']) {
    source.addEventListener(name, ({ type, lastEventId, data }) => print({ type, id: lastEventId, data }));
  }
}

const FILES = {
  '/mercure_page.mjs': './mercure_page.mjs',
  '/polyfill.js': './node_modules/event-source-polyfill/src/eventsource.js',
  '/fetch.js': './node_modules/@microsoft/fetch-event-source/lib/esm/fetch.js',
  '/parse': './node_modules/@microsoft/fetch-event-source/lib/esm/parse.js',
};

async function answer(request, response) {
  if (request.url in FILES) {
    response.setHeader('Content-Type', 'text/javascript');
    return response.end(await readFile(new URL(FILES[request.url], import.meta.url)));
  }
  if (['EventSource', 'WebSocket', 'publisher'].includes(client)) {
    const { cookie, token } = options;
    response.setHeader('Set-Cookie', `${cookie}=${token}; Path=/.well-known/mercure; HttpOnly; SameSite=Strict`);
  }
  response.setHeader('Content-Type', 'text/html');
  return response.end('<!doctype html><title>A page</title><link rel="icon" href="data:,">');
}

async function readInBrowser() {
  await new Promise((resolve) => createServer(answer).listen(options.pagePort, '127.0.0.1', resolve));
  // Without these, Chromium goes looking for hosts of its maker's.
  const quiet = [
    '--disable-background-networking', '--disable-component-update', '--disable-gpu', '--disable-quic',
    '--disable-sync', '--no-first-run',
  ];
  const browser = await chromium.launch({ executablePath: options.chromium, args: quiet });
  process.on('SIGTERM', () => browser.close().finally(() => process.exit()));
  const page = await browser.newPage();
  page.on('pageerror', (error) => process.stdout.write(`page error: ${error.message}\n`));
  await page.exposeFunction('print', print);
  await page.goto(`http://localhost:${options.pagePort}/`);
  await page.evaluate(async ([name, given]) => {
    const { clients } = await import('/mercure_page.mjs');
    clients[name](given);
  }, [client, options]);
}

if (client === 'eventsource') readByEventSource(options);
else await readInBrowser();
