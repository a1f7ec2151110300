"""A page in a real browser uses a route of another origin: by CORS, and by JSON-P, held and not (rows H43, H44)."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.interop.test_browser import on_page
from tests.support.answers import grip_response, text
from tests.support.app_process import AppProcess
from tests.support.backend import ScriptedBackend
from tests.support.publisher import publish, response_item

HTML = [(b"Content-Type", b"text/html; charset=utf-8")]
PAGE = """<!doctype html><title>other origin</title><body><script>
const there = 'http://127.0.0.1:PORT';
function show(line) { document.body.appendChild(document.createElement('p')).textContent = line; }
function load(path) {
  const script = document.createElement('script');
  script.src = there + path;
  script.onerror = () => show('script failed: ' + path);
  document.body.appendChild(script);
}
async function run() {
  const asked = {method: 'PUT', headers: {'X-Mine': '1'}, credentials: 'include', body: 'b'};
  const answer = await fetch(there + '/data', asked);
  show(`fetched ${answer.status} ${answer.headers.get('X-Seen')} ${await answer.text()}`);
  try { await fetch(there + '/shut'); show('not shut'); } catch { show('shut'); }
  load('/script?callback=app.got&_method=POST&_headers=' + encodeURIComponent('{"X-Mine": "2"}') + '&_body=b');
}
const app = {
  got(answer) {
    const same = answer.body === 'say "hi"\\u2028<' + '/script>\\n';
    show(`got ${answer.code} ${answer.headers['X-Seen']} ${same}`);
    load('/poll?callback=app.held');
  },
  held(answer) { show(`held ${answer.code} ${answer.body}`); },
};
run();
</script>
"""


async def test_h43_h44_a_page_of_another_origin_reads_answers_and_holds(
    tmp_path: Path,
) -> None:
    async with (
        ScriptedBackend() as backend,
        AppProcess(
            f"localhost {backend.address}",
            f"127.0.0.1,aco {backend.address}",
            f"127.0.0.1,path_beg=/shut {backend.address}",
        ) as app,
    ):
        port = app.proxy_address[1]
        backend.answers("/page", text(PAGE.replace("PORT", str(port)).encode(), headers=HTML))
        seen = [(b"X-Seen", b"yes")]
        backend.answers("/data", text(b""), text(b"data", headers=seen))
        backend.answers("/script", text('say "hi"\N{LINE SEPARATOR}</script>\n'.encode(), status=203, headers=seen))
        backend.answers("/poll", grip_response("page-poll"))
        shows = ["fetched 200 yes data", "shut", "got 203 yes true", "held 202 news ✓"]
        with on_page(f"http://localhost:{port}/page", shows, tmp_path) as browser:
            for line in shows[:3]:
                assert await asyncio.to_thread(browser.line) == line
            await app.until(lambda counters: counters["sessions_response"] == 1)
            await publish(app, response_item("page-poll", "news ✓", code=202))
            assert await asyncio.to_thread(browser.line) == shows[3]
            assert await asyncio.to_thread(browser.await_end) == 0
    preflight, put = backend.requests_for("/data")
    assert (preflight.method, put.method, put.values(b"x-mine")) == (b"OPTIONS", b"PUT", (b"1",))
    (posted,) = backend.requests_for("/script")
    assert (posted.method, posted.body, posted.values(b"x-mine")) == (b"POST", b"b", (b"2",))
