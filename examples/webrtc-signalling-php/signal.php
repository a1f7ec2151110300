<?php
/**
 * WebRTC signalling behind Holdfast, without any library: two pages pass each other offers, answers and candidates.
 *
 * Holdfast holds the WebSockets. What a page sends comes here as a POST of WebSocket events; the answer has the events
 * for that page, and what is for the others in the room goes to Holdfast's publish port. Nothing is kept in between.
 *
 *     GRIP_URL=http://127.0.0.1:5561 php -S 127.0.0.1:8000 signal.php
 */

declare(strict_types=1);

const EVENTS = 'application/websocket-events';

if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
    header('Content-Type: text/html; charset=utf-8');
    readfile(__DIR__ . '/page.html');
    return;
}

$room = $_GET['room'] ?? '';
$page = $_SERVER['HTTP_CONNECTION_ID'] ?? '';  // the same in all requests about one WebSocket
if (($_SERVER['CONTENT_TYPE'] ?? '') !== EVENTS || !is_string($room) || !preg_match('/^[\w-]{1,40}$/', $room)) {
    http_response_code(400);  // Holdfast passes it on instead of opening the WebSocket
    exit("Open a WebSocket at /signal?room=NAME, through Holdfast. A name has letters, digits, _ and -.\n");
}
header('Content-Type: ' . EVENTS);
header('Sec-WebSocket-Extensions: grip');  // in the answer to OPEN: m: marks what is for the page, c: for Holdfast

foreach (decode_events(file_get_contents('php://input')) as [$type, $content]) {
    switch ($type) {
        case 'OPEN':
            echo encode_event('OPEN');
            // Whatever is published to the room with this page as its sender, skip-self keeps from it.
            tell_holdfast(['type' => 'set-meta', 'name' => 'user', 'value' => $page]);
            tell_holdfast(['type' => 'subscribe', 'channel' => "signal-$room", 'filters' => ['skip-self']]);
            tell_holdfast(['type' => 'keep-alive', 'message-type' => 'ping', 'content' => 'there?', 'timeout' => 30]);
            echo encode_event('TEXT', 'm:' . json_encode(['type' => 'you', 'id' => $page]));
            break;
        case 'TEXT':
            $signal = json_decode($content, true, 16);
            if (is_array($signal)) {
                publish($room, $page, $signal);
            }
            break;
        case 'PING':
            echo encode_event('PONG', $content);
            break;
        case 'CLOSE':  // the page closes the WebSocket: answer with a CLOSE
            publish($room, $page, ['type' => 'bye']);
            echo encode_event('CLOSE', $content);
            break;
        case 'DISCONNECT':  // the page is gone without a word
            publish($room, $page, ['type' => 'bye']);
            break;
    }
}

/** Send a signal to the others in the room, saying who it is from. */
function publish(string $room, string $page, array $signal): void
{
    $message = ['content' => json_encode(['from' => $page] + $signal)];
    $item = ['channel' => "signal-$room", 'meta' => ['sender' => $page], 'formats' => ['ws-message' => $message]];
    $body = json_encode(['items' => [$item]]);
    $http = ['method' => 'POST', 'header' => 'Content-Type: application/json', 'content' => $body];
    file_get_contents(getenv('GRIP_URL') . '/publish/', false, stream_context_create(['http' => $http]));
}

/** Answer with a message that Holdfast obeys and does not pass on. */
function tell_holdfast(array $control): void
{
    echo encode_event('TEXT', 'c:' . json_encode($control));
}

/**
 * Decode a body of events, each `TYPE\r\n`, or `TYPE SIZE\r\nCONTENT\r\n` with the size in hexadecimal bytes.
 *
 * TEXT and BINARY are whole messages. The content of a CLOSE is its code, two bytes, and a reason, or nothing.
 */
function decode_events(string $body): iterable
{
    for ($at = 0; $at < strlen($body); ) {
        $end = strpos($body, "\r\n", $at);
        [$type, $size] = explode(' ', substr($body, $at, $end - $at)) + [1 => null];
        $at = $end + 2;
        $content = $size === null ? '' : substr($body, $at, hexdec($size));
        $at += $size === null ? 0 : hexdec($size) + 2;
        yield [$type, $content];
    }
}

/** Encode one event. One without content has no size. */
function encode_event(string $type, string $content = ''): string
{
    return $content === '' ? "$type\r\n" : sprintf("%s %x\r\n%s\r\n", $type, strlen($content), $content);
}
