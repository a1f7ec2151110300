// Two browsers, each a process of its own, meet by the signalling example and talk over a WebRTC data channel:
//   node signalling_pages.mjs URL CHROMIUM SCREENSHOT
// Prints a line for each step. When one does not come, the first page goes to SCREENSHOT and the exit status is 1.

import { chromium } from 'playwright-core';

const [url, executablePath, screenshot] = process.argv.slice(2);
const say = (line) => process.stdout.write(`${line}\n`);

// Without these, Chromium goes looking for hosts of its maker's.
const quiet = [
  '--disable-background-networking', '--disable-component-update', '--disable-gpu', '--disable-quic', '--disable-sync',
  '--no-first-run',
];
const browsers = [];
const open = async (room) => {
  const browser = await chromium.launch({ executablePath, args: [...quiet, ...process.argv.slice(5)] });
  browsers.push(browser);
  const page = await browser.newPage();
  page.setDefaultTimeout(12_000);
  page.on('pageerror', (error) => say(`page error: ${error.message}`));
  await page.goto(`${url}/?room=${room}`);
  return page;
};
const state = (page, list, text) => {
  return page.getByRole('region', { name: list }).getByRole('status').getByText(text, { exact: true }).waitFor();
};
const connected = (...pages) => Promise.all(pages.map((page) => state(page, 'Data channel', 'connected')));
const pass = async (from, to, text) => {
  await from.getByLabel('Message', { exact: true }).fill(text);
  await from.getByRole('button', { name: 'Send' }).click();
  await to.getByRole('region', { name: 'Data channel' }).getByText(text, { exact: true }).waitFor();
  say(text);
};

let first;
try {
  first = await open('tea');
  await state(first, 'Signals', 'live');
  await state(first, 'Data channel', 'waiting');
  await state(await open('coffee'), 'Signals', 'live');
  say('alone');

  const second = await open('tea');
  await connected(first, second);
  say('connected');
  await pass(first, second, 'grüße ✓');
  await pass(second, first, '<img src="" onerror="alert(1)">');

  const third = await open('tea');
  await state(third, 'Data channel', 'waiting: there are two already');
  say('full');
  await third.context().browser().close();

  await second.reload();
  await connected(first, second);
  await pass(second, first, 'here again');

  // Without a server, who talks goes on talking.
  say('stop it');
  await Promise.all([first, second].map((page) => state(page, 'Signals', 'reconnecting')));
  await pass(first, second, 'without a server');
} catch (error) {
  await first?.screenshot({ path: screenshot, fullPage: true });
  say(`${error.message}\nscreenshot: ${screenshot}`);
  process.exitCode = 1;
} finally {
  await Promise.all(browsers.map((browser) => browser.close()));
}
