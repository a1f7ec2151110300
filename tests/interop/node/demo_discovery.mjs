// Shows the demo's page other Link headers than Holdfast's: node demo_discovery.mjs URL CHROMIUM LINK...
// Prints for each where the page then subscribes, or what it says instead. What does not come ends it with status 1.

import { chromium } from 'playwright-core';

const [url, executablePath, ...links] = process.argv.slice(2);

// Without these, Chromium goes looking for hosts of its maker's.
const quiet = [
  '--disable-background-networking', '--disable-component-update', '--disable-gpu', '--disable-quic', '--disable-sync',
  '--no-first-run',
];
const browser = await chromium.launch({ executablePath, args: quiet });
try {
  for (const link of links) {
    const page = await browser.newPage();
    page.setDefaultTimeout(12_000);
    await page.route('**', (route, request) => {
      if (request.method() === 'HEAD') return route.fulfill({ headers: link ? { Link: link } : {} });
      return request.isNavigationRequest() ? route.continue() : route.abort();
    });
    const subscription = page.waitForRequest((request) => new URL(request.url()).searchParams.has('match'));
    const nowhere = page.getByRole('region', { name: 'Mercure' }).getByText('no hub');
    await page.goto(`${url}/`);
    const found = await Promise.any([subscription.then((request) => request.url()), nowhere.textContent()]);
    process.stdout.write(`${found}\n`);
    subscription.catch(() => {}); // it may not come any more
    await page.close();
  }
} finally {
  await browser.close();
}
