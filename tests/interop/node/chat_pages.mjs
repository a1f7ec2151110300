// Visits the chat example's page in a real browser, as two people do:
//   node chat_pages.mjs URL CHROMIUM SCREENSHOT
// Prints a line for each step. When one does not come, Ada's page goes to SCREENSHOT and the exit status is 1.

import { chromium } from 'playwright-core';

const [url, executablePath, screenshot] = process.argv.slice(2);
const say = (line) => process.stdout.write(`${line}\n`);

// Without these, Chromium goes looking for hosts of its maker's.
const quiet = [
  '--disable-background-networking', '--disable-component-update', '--disable-gpu', '--disable-quic', '--disable-sync',
  '--no-first-run',
];
const browser = await chromium.launch({ executablePath, args: quiet });
const enter = async (name, prepare = () => {}) => {
  const context = await browser.newContext();
  await prepare(context);
  const page = await context.newPage();
  page.setDefaultTimeout(12_000);
  page.on('pageerror', (error) => say(`page error: ${error.message}`));
  page.on('dialog', (dialog) => say(`a message ran as a script: ${dialog.message()}`));
  await page.goto(`${url}/?room=tea`);
  await page.getByLabel('Your name').fill(name);
  await page.getByRole('button', { name: 'Enter' }).click();
  await state(page, 'live');
  return page;
};
const state = (page, text) => page.getByRole('status').getByText(text, { exact: true }).waitFor();
const person = (page, name) => page.getByLabel('Who is online').getByText(name, { exact: true });
const shown = (page, text) => page.getByRole('log').getByText(text, { exact: true }).waitFor();
const write = async (page, text) => {
  await page.getByLabel('Message', { exact: true }).fill(text);
  await page.getByRole('button', { name: 'Send' }).click();
};

// In Holdfast's place, something that publishes a message before the answer with the older ones has arrived.
const publishEarly = (context) => context.routeWebSocket(/chat/, (socket) => socket.onMessage(() => {
  const [older, newer] = [1, 2].map((id) => ({ id, name: 'Ada', text: `number ${id}` }));
  socket.send(JSON.stringify({ type: 'message', ...newer }));
  socket.send(JSON.stringify({ type: 'joined', messages: [older, newer] }));
}));

let ada;
try {
  ada = await enter('Ada');
  await write(ada, 'first');
  const name = '<b onclick="alert(1)">Grace</b>';
  const grace = await enter(name);
  await shown(grace, 'first');
  say('history');
  await person(ada, name).waitFor();
  await person(grace, 'Ada').waitFor();
  say('online');
  for (const [from, to, text] of [[ada, grace, 'grüße ✓'], [grace, ada, '<img src="" onerror="alert(1)">']]) {
    await write(from, text);
    await shown(from, text);
    await shown(to, text);
    say(text);
  }
  const linus = await enter('Linus', publishEarly);
  await shown(linus, 'number 2');
  say((await linus.locator('.text').allTextContents()).join(', '));

  await grace.context().close();
  await person(ada, name).waitFor({ state: 'detached' });
  await shown(ada, `${name} left`);
  say('left');
  await state(ada, 'reconnecting');
  say('reconnecting');
  await state(ada, 'live');
  say('live');
  await write(ada, 'back again');
  await shown(ada, 'back again');
  say('back again');
} catch (error) {
  await ada?.screenshot({ path: screenshot });
  say(`${error.message}\nscreenshot: ${screenshot}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
