// Visits the demo's page in a real browser, in two windows that share its connections, as its user does:
//   node demo_page.mjs URL CHROMIUM SCREENSHOT SENT... -- RECEIVED
// Types and sends each text of SENT, every second one by WebSocket, waits for it in all panels of both, prints it; then
// waits until they have lost their connections and prints `reconnecting`, until they are live again and prints `live`,
// and waits for RECEIVED.
// When something does not come, the page goes to SCREENSHOT and the exit status is 1.

import { chromium } from 'playwright-core';

const [url, executablePath, screenshot, ...texts] = process.argv.slice(2);
const sent = texts.slice(0, texts.indexOf('--'));
const received = texts.slice(texts.indexOf('--') + 1);
const say = (line) => process.stdout.write(`${line}\n`);

// Without these, Chromium goes looking for hosts of its maker's.
const quiet = [
  '--disable-background-networking', '--disable-component-update', '--disable-gpu', '--disable-quic', '--disable-sync',
  '--no-first-run',
];
const browser = await chromium.launch({ executablePath, args: quiet });
try {
  const context = await browser.newContext();
  context.setDefaultTimeout(12_000);
  context.on('weberror', (error) => say(`page error: ${error.error().message}`));
  context.on('dialog', (dialog) => say(`a message ran as a script: ${dialog.message()}`));
  const pages = [await context.newPage(), await context.newPage()];
  const [page] = pages;

  const inAllPanels = async (find) => {
    for (const each of pages) {
      for (const name of ['Event stream', 'Long poll', 'WebSocket', 'Mercure']) {
        await find(each.getByRole('region', { name })).waitFor();
      }
    }
  };
  const states = (state) => inAllPanels((panel) => panel.getByText(state, { exact: true }));
  const messages = (text) => inAllPanels((panel) => panel.getByRole('listitem').getByText(text, { exact: true }));

  try {
    for (const each of pages) await each.goto(url);
    await states('live');
    say('live');
    for (const [index, text] of sent.entries()) {
      await page.getByLabel('Message to everybody').fill(text);
      await page.getByRole('button', { name: ['Send', 'Send by WebSocket'][index % 2], exact: true }).click();
      await messages(text);
      say(text);
    }
    await states('reconnecting');
    say('reconnecting');
    await states('live');
    say('live');
    for (const text of received) {
      await messages(text);
      say(text);
    }
  } catch (error) {
    await page.screenshot({ path: screenshot, fullPage: true });
    say(`${error.message}\nscreenshot: ${screenshot}`);
    process.exitCode = 1;
  }
} finally {
  await browser.close();
}
