// Visits the hub's debugger in a real browser, as its user does: node debugger_page.mjs URL CHROMIUM SCREENSHOT [TOKEN]
// Subscribes by fetch and by EventSource, publishes, and prints a line for each thing that shows up. Without TOKEN it
// is the playground's page, which brings its own. The page goes to SCREENSHOT; when something does not come, the exit
// status is 1.

import { chromium } from 'playwright-core';

const [url, executablePath, screenshot, token] = process.argv.slice(2);
const say = (line) => process.stdout.write(`${line}\n`);

// Without these, Chromium goes looking for hosts of its maker's.
const quiet = [
  '--disable-background-networking', '--disable-component-update', '--disable-gpu', '--disable-quic', '--disable-sync',
  '--no-first-run',
];
const browser = await chromium.launch({ executablePath, args: quiet });
const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
page.setDefaultTimeout(10_000);
page.on('pageerror', (error) => say(`page error: ${error.message}`));
page.on('console', (message) => message.type() === 'error' && say(`console: ${message.text()}`));
page.on('dialog', (dialog) => say(`an update ran as a script: ${dialog.message()}`));

const button = (name) => page.getByRole('button', { name, exact: true });
const state = (text) => page.getByRole('status').getByText(text, { exact: true }).waitFor();
const updates = page.getByRole('log', { name: 'Received updates' });
const present = page.getByRole('region', { name: 'Active subscriptions' }).last();

async function publish(data, { type = '', hidden = false } = {}) {
  await page.getByLabel('Data').fill(data);
  await page.getByLabel('Type', { exact: true }).fill(type);
  await page.getByLabel('Private').setChecked(hidden);
  await button('Publish').click();
  await page.getByRole('status').getByText('Published as urn:uuid:').waitFor();
}

async function show(data, options, shown = data) {
  await publish(data, options);
  await updates.getByText(shown, { exact: true }).waitFor();
  say(shown);
}

try {
  await page.goto(url);
  await page.getByRole('radio', { name: 'in a header', checked: true }).waitFor();
  if (token) await page.getByLabel('Token (JWT)').fill(token);
  await button('Subscribe').click();
  await state('live');
  say('live by fetch');
  await show('grüße ✓');
  await show('<img src="" onerror="alert(1)">', { type: 'note' });
  await show('a secret', { hidden: true });

  await page.getByLabel('Follow').check();
  await present.getByText('https://example.com/books/1').waitFor();
  say('present');
  await button('Disconnect').click();
  await present.getByText('https://example.com/books/1').waitFor({ state: 'detached' });
  say('gone');

  await publish('missed');
  await button('From here').first().click();
  await page.getByRole('radio', { name: 'in a cookie' }).check();
  await page.getByRole('radio', { name: 'EventSource' }).check();
  await button('Subscribe').click();
  await state('live');
  await updates.getByText('missed', { exact: true }).waitFor();
  say('missed, by EventSource');
  await page.getByRole('radio', { name: 'in a header' }).check();
  await show('{"title": "Book 1", "price": {"amount": 12.5, "currency": "EUR"}}', { hidden: true },
    JSON.stringify({ title: 'Book 1', price: { amount: 12.5, currency: 'EUR' } }, null, 2));

  await page.getByLabel('Token (JWT)').fill('not a token');
  await page.getByRole('radio', { name: 'fetch' }).check();
  await button('Subscribe').click();
  await page.getByText('400 Bad Request').waitFor();
  say('refused');
} catch (error) {
  say(`${error.message}\nscreenshot: ${screenshot}`);
  process.exitCode = 1;
} finally {
  await page.screenshot({ path: screenshot, fullPage: true });
  await browser.close();
}
