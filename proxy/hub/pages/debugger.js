// The debugger: forms in, fetch out. `streams.js` receives; this is the page.
import { describe, FetchStream, headerText, NativeStream } from './streams.js';

const SHOWN = 200; // updates kept on the page
const find = (selector) => document.querySelector(selector);
const value = (selector) => find(selector).value.trim();
const chosen = (name) => find(`input[name=${name}]:checked`).value;
const motion = matchMedia('(prefers-reduced-motion: no-preference)');

const config = { playground: false, anonymous: false, subscriptions: false, cookieName: 'mercure_access_token' };

function say(selector, text) {
  find(selector).textContent = text;
  find(selector).hidden = !text;
}

function fromTemplate(id) {
  return find(`#${id}`).content.firstElementChild.cloneNode(true);
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch { // not JSON: shown as it is
    return text;
  }
}

// -- settings -------------------------------------------------------------------------------------------------------

const hubUrl = () => value('#hub');

function presented() {
  const token = value('#token');
  const way = chosen('auth');
  if (way === 'header' && token) return { credentials: 'omit', headers: { Authorization: `Bearer ${token}` } };
  return { credentials: way === 'cookie' ? 'include' : 'omit', headers: {} };
}

// A page cannot set a cookie that scripts cannot read; an application must (HttpOnly).
function writeCookie() {
  if (chosen('auth') !== 'cookie') return;
  const { pathname, protocol } = new URL(hubUrl(), location.href);
  const token = value('#token');
  const secure = protocol === 'https:' || config.cookieName.startsWith('__') ? '; Secure' : '';
  const age = token ? '' : '; Max-Age=0';
  document.cookie = `${config.cookieName}=${token}; Path=${pathname}; SameSite=Strict${secure}${age}`;
  const isKept = document.cookie.split('; ').includes(`${config.cookieName}=${token}`);
  const refused = token && !isKept ? ' The browser has not taken it: such a name wants HTTPS, or the path is another.' : '';
  say('#cookie-note', `The cookie is called ${config.cookieName}.${refused}`);
}

function showClaims() {
  const parts = value('#token').split('.').slice(0, 2);
  let text = '';
  try {
    const bytes = (part) => Uint8Array.from(atob(part.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
    text = parts.map((part) => pretty(new TextDecoder().decode(bytes(part)))).join('\n');
  } catch { /* not a token */ }
  find('#claims pre').textContent = text;
  find('#claims').hidden = parts.length < 2 || !text;
}

function settle() {
  find('#hub-shown').textContent = hubUrl();
  find('#token-parts').hidden = chosen('auth') === 'none';
  find('#cookie-note').hidden = chosen('auth') !== 'cookie';
  find('#types-part').hidden = chosen('way') !== 'eventsource';
  if (!find('#hub').checkValidity()) return;
  writeCookie();
  showClaims();
}

find('#settings-form').addEventListener('input', settle);
find('#settings-form').addEventListener('submit', (event) => event.preventDefault());

document.addEventListener('securitypolicyviolation', ({ blockedURI }) => {
  stop();
  say('#subscribe-problem', `This page may not reach ${blockedURI}: only the hub that serves it.`);
});

// -- subscribing ----------------------------------------------------------------------------------------------------

let stream;

function addMatcher(name = 'match', text = '') {
  const row = fromTemplate('matcher');
  row.querySelector('select').value = name;
  row.querySelector('input').value = text;
  row.querySelector('button').addEventListener('click', () => row.remove());
  find('#matchers').append(row);
  return row.querySelector('input');
}

// The URL that subscribes to `pairs` of a parameter's name and its value.
function subscribingUrl(pairs, cursor) {
  const url = new URL(hubUrl());
  for (const [name, text] of pairs) url.searchParams.append(name, text);
  const isOlder = pairs.every(([name]) => name === 'topic');
  if (cursor) url.searchParams.append(isOlder ? 'lastEventID' : 'last_event_id', cursor);
  return url;
}

function setState(state) {
  find('#state').dataset.state = state;
  find('#state').textContent = state || 'not connected';
  find('#stop').disabled = !state;
}

function stop() {
  stream?.close();
  stream = undefined;
  setState('');
}

function subscribe() {
  stop();
  say('#subscribe-problem', '');
  say('#loss', '');
  const rows = [...document.querySelectorAll('.matcher')];
  const pairs = rows.map((row) => [row.querySelector('select').value, row.querySelector('input').value]);
  const cursor = value('#cursor');
  const handlers = {
    request: presented(),
    types: value('#types').split(/\s+/).filter(Boolean),
    onState: setState,
    onUpdate: showUpdate,
    onCursor: (found) => {
      if (cursor && found !== null && found !== cursor && found !== stream?.lastId) {
        say('#loss', `Updates may be lost: the hub does not know that id, and answers with ${found}.`);
      }
    },
    onProblem: (text) => say('#subscribe-problem', text),
  };
  const Stream = chosen('way') === 'fetch' ? FetchStream : NativeStream;
  stream = new Stream(subscribingUrl(pairs, cursor), handlers);
}

function showUpdate({ id, type, data }) {
  const line = fromTemplate('update');
  line.querySelector('time').textContent = new Date().toLocaleTimeString([], { hour12: false });
  line.querySelector('.type').textContent = type === 'message' ? '' : type;
  line.querySelector('.id').textContent = id;
  line.querySelector('pre').textContent = pretty(data);
  line.querySelector('button').addEventListener('click', () => { find('#cursor').value = id; });
  const list = find('#updates');
  list.prepend(line);
  while (list.children.length > SHOWN) list.lastElementChild.remove();
  find('#count').textContent = Number(find('#count').textContent) + 1;
  if (motion.matches) line.animate({ background: ['var(--fresh)', 'transparent'] }, 2000);
}

find('#add').addEventListener('click', () => addMatcher().focus());
find('#stop').addEventListener('click', stop);
find('#subscribe-form').addEventListener('submit', (event) => {
  event.preventDefault();
  if (find('#settings-form').reportValidity()) subscribe();
});
find('#clear').addEventListener('click', () => {
  find('#updates').replaceChildren();
  find('#count').textContent = '0';
});

// -- publishing -----------------------------------------------------------------------------------------------------

// Runs `ask`, which returns a text that says what is wrong, and says it; a lost connection is said too.
async function tell(selector, ask) {
  say(selector, '');
  try {
    say(selector, (await ask()) ?? '');
  } catch (error) {
    say(selector, `No answer. ${error.message}`);
  }
}

find('#publish-form').addEventListener('submit', (event) => {
  event.preventDefault();
  if (!find('#settings-form').reportValidity()) return;
  say('#published', '');
  const body = new URLSearchParams();
  for (const topic of find('#topics').value.split('\n').filter(Boolean)) body.append('topic', topic);
  body.append('data', find('#data').value);
  for (const name of ['id', 'type', 'retry']) if (value(`#${name}`)) body.append(name, value(`#${name}`));
  if (find('#private').checked) body.append('private', 'on');
  tell('#publish-problem', async () => {
    const response = await fetch(hubUrl(), { ...presented(), method: 'POST', body });
    if (!response.ok) return describe(response);
    say('#published', `Published as ${await response.text()}`);
    return '';
  });
});

// -- active subscriptions -------------------------------------------------------------------------------------------

let watching;
const subscriptions = new Map();

function showSubscriptions() {
  const lines = [...subscriptions.values()].map((each) => {
    const line = fromTemplate('subscription');
    line.querySelector('.kind').textContent = each.match_type ?? 'topic';
    line.querySelector('.value').textContent = each.match ?? each.topic;
    line.querySelector('.who').textContent = each.subscriber;
    line.querySelector('pre').textContent = JSON.stringify(each.payload, null, 2) ?? '';
    line.querySelector('pre').hidden = each.payload === undefined;
    return line;
  });
  find('#subscriptions').replaceChildren(...lines);
  find('#present').textContent = subscriptions.size;
}

function linkParameter(link, name) {
  const found = new RegExp(`; ${name}="((?:[^"\\\\]|\\\\.)*)"`).exec(link ?? '');
  return found && found[1].replace(/\\(.)/g, '$1');
}

function loadSubscriptions() {
  watching?.close();
  return tell('#presence-problem', async () => {
    const request = presented();
    const response = await fetch(`${hubUrl()}/subscriptions`, { ...request, cache: 'no-store' });
    if (!response.ok) return describe(response);
    const cursor = linkParameter(headerText(response, 'Link'), 'last-event-id');
    const list = await response.json();
    subscriptions.clear();
    for (const each of list.subscriptions) subscriptions.set(each.id, each);
    showSubscriptions();
    if (find('#follow').checked) follow(list, request, cursor ?? list.lastEventID);
    return '';
  });
}

// The list's own cursor is where the stream goes on, so nothing is missed in between. Names hold no literal marks.
function follow(list, request, cursor) {
  const root = new URL(`${hubUrl()}/subscriptions`).pathname;
  const isOlder = '@context' in list;
  const pair = isOlder ? ['topic', `${root}/{topic}/{subscriber}`] : ['match_urlpattern', `${root}/:type/:match/:subscriber`];
  watching = new FetchStream(subscribingUrl([pair], cursor), {
    request,
    onState: () => {},
    onUpdate: ({ type, data }) => {
      if (type !== (isOlder ? 'message' : 'mercure')) return;
      const each = JSON.parse(data);
      if (each.active) subscriptions.set(each.id, each);
      else subscriptions.delete(each.id);
      showSubscriptions();
    },
    onProblem: (text) => say('#presence-problem', text),
  });
}

find('#load').addEventListener('click', loadSubscriptions);
find('#follow').addEventListener('change', () => {
  if (find('#follow').checked) loadSubscriptions();
  else watching?.close();
});

// -- discovery ------------------------------------------------------------------------------------------------------

let discovered = {};

function parseLinks(header) {
  const links = {};
  for (const [, url, parameters] of (header ?? '').matchAll(/<([^>]*)>((?:\s*;\s*[\w-]+="?[^",]*"?)*)/g)) {
    const relation = /\brel="?([^";,]+)/.exec(parameters);
    if (relation && !(relation[1] in links)) links[relation[1]] = url;
  }
  return links;
}

find('#discover-form').addEventListener('submit', (event) => {
  event.preventDefault();
  find('#discovered').hidden = true;
  tell('#discover-problem', async () => {
    const resource = new URL(value('#resource'), location.href);
    if (chosen('auth') === 'cookie') resource.searchParams.set('jwt', value('#token'));
    const response = await fetch(resource, { credentials: 'include' });
    if (!response.ok) return describe(response);
    const { mercure, self = resource.href } = parseLinks(headerText(response, 'Link'));
    if (!mercure) return 'The resource names no hub.';
    discovered = { hub: new URL(mercure, resource).href, topic: new URL(self, resource).href };
    const rows = { Hub: discovered.hub, Topic: discovered.topic, 'Content type': response.headers.get('Content-Type') };
    find('#links').replaceChildren(...Object.entries(rows).flatMap(([name, text]) => {
      const [term, description] = [document.createElement('dt'), document.createElement('dd')];
      [term.textContent, description.textContent] = [name, text];
      return [term, description];
    }));
    find('#discovered pre').textContent = pretty(await response.text());
    find('#discovered').hidden = false;
    return '';
  });
});

find('#use').addEventListener('click', () => {
  find('#hub').value = discovered.hub;
  find('#topics').value = discovered.topic;
  find('#matchers').replaceChildren();
  addMatcher('match', discovered.topic);
  settle();
  subscribe();
});

// -- the beginning --------------------------------------------------------------------------------------------------

async function begin() {
  // The page lies at HUB/debug/.
  find('#hub').value = new URL('..', location.href).href.replace(/\/$/, '');
  addMatcher('match', 'https://example.com/books/1');
  find('#topics').value = 'https://example.com/books/1';
  find('#data').value = '{"title": "Book 1"}';
  settle();
  const response = await fetch('config.json', { cache: 'no-store' });
  Object.assign(config, await response.json());
  find('#warning').hidden = !config.playground;
  find('#presence').hidden = !config.subscriptions;
  find('#discover').hidden = !config.playground;
  if (config.playground) {
    const token = await fetch('playground-token', { cache: 'no-store' });
    if (token.ok) find('#token').value = (await token.text()).trim();
  }
  if (!config.anonymous || value('#token')) find('input[name=auth][value=header]').checked = true;
  settle();
}

begin();
