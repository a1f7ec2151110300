// Opens a page in a real browser, prints each text of the list as it shows up, and ends with the last one:
//   node browser.mjs URL CHROMIUM SCREENSHOT TEXT...
// When a text does not come, the page goes to SCREENSHOT and the exit status is 1.

import { chromium } from 'playwright-core';

const [url, executablePath, screenshot, ...texts] = process.argv.slice(2);

// Without these, Chromium goes looking for hosts of its maker's.
const quiet = [
  '--disable-background-networking', '--disable-component-update', '--disable-gpu', '--disable-quic', '--disable-sync',
  '--no-first-run',
];
const browser = await chromium.launch({ executablePath, args: quiet });
try {
  const page = await browser.newPage();
  page.on('pageerror', (error) => process.stdout.write(`page error: ${error.message}\n`));
  await page.goto(url);
  try {
    for (const text of texts) {
      await page.getByText(text, { exact: true }).waitFor({ timeout: 10_000 });
      process.stdout.write(`${text}\n`);
    }
  } catch (error) {
    await page.screenshot({ path: screenshot });
    process.stdout.write(`${error.message}\nscreenshot: ${screenshot}\n`);
    process.exitCode = 1;
  }
} finally {
  await browser.close();
}
