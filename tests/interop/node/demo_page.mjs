// Visits the demo's page in a real browser, as its user does:
//   node demo_page.mjs URL CHROMIUM SCREENSHOT SENT... -- RECEIVED
// Types and sends each text of SENT, every second one by WebSocket, waits for it in all panels, prints it; then waits
// until the page has lost its connections and prints `reconnecting`, until it is live again and prints `live`, and waits
// for RECEIVED.
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
  const page = await browser.newPage();
  page.setDefaultTimeout(12_000);
  page.on('pageerror', (error) => say(`page error: ${error.message}`));
  page.on('dialog', (dialog) => say(`a message ran as a script: ${dialog.message()}`));

  const inAllPanels = async (find) => {
    for (const name of ['Event stream', 'Long poll', 'WebSocket']) {
      await find(page.getByRole('region', { name })).waitFor();
    }
  };
  const states = (state) => inAllPanels((panel) => panel.getByText(state, { exact: true }));
  const messages = (text) => inAllPanels((panel) => panel.getByRole('listitem').getByText(text, { exact: true }));

  try {
    await page.goto(url);
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
