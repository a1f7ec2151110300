<?php // WebSockets without any library: what tests/interop/conversation.py says, in PHP.

function publish(string $channel, array $message): string
{
    $json = json_encode(['items' => [['channel' => $channel, 'formats' => ['ws-message' => $message]]]]);
    $http = ['method' => 'POST', 'header' => 'Content-Type: application/json', 'content' => $json];
    return file_get_contents('http://' . getenv('PUBLISH') . '/publish/', false, stream_context_create(['http' => $http]));
}

function event(string $kind, ?string $content = null): string
{
    return $content === null ? "$kind\r\n" : sprintf("%s %x\r\n%s\r\n", $kind, strlen($content), $content);
}

function read_events(string $body): iterable
{
    while ($body !== '') {
        [$line, $body] = explode("\r\n", $body, 2);
        [$kind, $size] = [...explode(' ', $line), null];
        $content = $size === null ? '' : substr($body, 0, hexdec($size));
        $body = $size === null ? $body : substr($body, hexdec($size) + 2);
        yield [$kind, $content];
    }
}

function converse(string $channel): void
{
    header('Content-Type: application/websocket-events');
    foreach (read_events(file_get_contents('php://input')) as [$kind, $content]) {
        switch ($kind) {
            case 'OPEN':
                header('Sec-WebSocket-Extensions: grip');
                header('Set-Meta-User: alice');
                echo event('OPEN'), event('TEXT', 'c:' . json_encode(['type' => 'subscribe', 'channel' => $channel]));
                echo event('TEXT', 'm:opened');
                break;
            case 'TEXT':
                answer_text($content);
                break;
            case 'BINARY':
                echo event('BINARY', "m:$content");
                break;
            case 'PING':
                echo event('PONG', $content);
                break;
            case 'CLOSE':
                echo event('CLOSE', $content);
                break;
            case 'DISCONNECT':
                publish($channel, ['content' => 'somebody has vanished']);
        }
    }
}

function answer_text(string $text): void
{
    [$word, $code] = [...explode(' ', $text, 2), null];
    if ($text === 'whoami') {
        // No library, no JWT: whether the signature is right is not looked at.
        $seen = ['id' => $_SERVER['HTTP_CONNECTION_ID'], 'meta' => ['user' => $_SERVER['HTTP_META_USER']]];
        echo event('TEXT', 'm:' . json_encode($seen + ['signed' => isset($_SERVER['HTTP_GRIP_SIG'])]));
    } elseif ($text === 'detach') {
        echo event('TEXT', 'm:detaching'), event('TEXT', 'c:' . json_encode(['type' => 'detach']));
    } elseif ($word === 'close') {
        echo event('CLOSE', $code === null ? null : pack('n', (int) $code));
    } else {
        echo event('TEXT', "m:$text");
    }
}
