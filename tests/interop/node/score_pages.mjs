// Pages of the live score example in a real browser: node score_pages.mjs URL CHROMIUM SCREENSHOT
// Prints a line for each step, and goes on when it gets one. A page that does not show what it should goes to
// SCREENSHOT, and the exit status is 1.

import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const [url, executablePath, screenshot] = process.argv.slice(2);
const say = (line) => process.stdout.write(`${line}\n`);
const input = createInterface({ input: process.stdin });
const told = () => once(input, 'line');

// Without these, Chromium goes looking for hosts of its maker's.
const quiet = [
  '--disable-background-networking', '--disable-component-update', '--disable-gpu', '--disable-quic', '--disable-sync',
  '--no-first-run',
];
const browser = await chromium.launch({ executablePath, args: quiet });
const open = async () => {
  const page = await browser.newPage();
  page.setDefaultTimeout(12_000);
  page.on('pageerror', (error) => say(`page error: ${error.message}`));
  page.on('dialog', (dialog) => say(`a name ran as a script: ${dialog.message()}`));
  await page.goto(url);
  await page.getByRole('status').getByText('live', { exact: true }).waitFor();
  return page;
};
const match = (page, name) => page.getByRole('article', { name });
const score = (page, name, text) => match(page, name).getByRole('img', { name: text, exact: true }).waitFor();
const scorers = (page, name) => match(page, name).getByRole('listitem').allTextContents();

let page;
try {
  page = await open();
  const other = await open();
  await score(page, 'Millrace against Old Quarry', '0 to 0');
  say('kick-off');
  await told();
  await score(page, 'Millrace', '0 to 1');
  await score(other, 'Millrace', '0 to 1');
  say((await scorers(other, 'Millrace')).join(', '));

  await other.close();
  await page.getByLabel('Team').selectOption('Millrace');
  await page.getByLabel('Scorer').fill('<img src="" onerror="alert(1)">');
  await page.getByLabel('Minute').fill('7');
  await page.getByRole('button', { name: 'Goal!' }).click();
  await score(page, 'Millrace', '1 to 1');
  say('equal');
  await told();
  await score(page, 'Saltmarsh', '1 to 0');

  const late = await open();
  await score(late, 'Millrace', '1 to 1');
  await score(late, 'Saltmarsh', '1 to 0');
  await score(late, 'Harbour Town', '0 to 0');
  say((await scorers(late, 'Millrace')).join(', '));
  say((await scorers(late, 'Saltmarsh')).join(', '));
} catch (error) {
  await page?.screenshot({ path: screenshot, fullPage: true });
  say(`${error.message}\nscreenshot: ${screenshot}`);
  process.exitCode = 1;
} finally {
  input.close();
  await browser.close();
}
