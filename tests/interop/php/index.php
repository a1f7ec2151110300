<?php // A backend without any library: `php -S 127.0.0.1:PORT index.php`, with PUBLISH (host:port) in the environment.
require __DIR__ . '/socket.php';
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
[$what, $channel] = [dirname($path), basename($path)];
$item = ['channel' => $channel, 'formats' => ['http-stream' => ['content' => file_get_contents('php://input')]]];
$json = json_encode(['items' => [$item]]);
header('Content-Type: text/plain');
if ($what === '/stream') {
    header('Grip-Hold: stream');
    header("Grip-Channel: $channel");
    echo "opened\n";
} elseif ($what === '/socket') {
    converse($channel);
} elseif (dirname($what) === '/socket') {
    http_response_code(403);
    header('X-By: PHP');
    echo 'not on ' . basename($what) . "\n";
} elseif ($what === '/publish/message') {
    echo publish($channel, ['content' => file_get_contents('php://input')]);
} elseif ($what === '/publish/binary') {
    echo publish($channel, ['content-bin' => base64_encode(hex2bin(file_get_contents('php://input')))]);
} elseif ($what === '/publish/leave') {
    $code = (int) file_get_contents('php://input');
    echo publish($channel, ['action' => 'close'] + ($code ? ['code' => $code] : []));
} elseif ($what === '/publish') {
    $http = ['method' => 'POST', 'header' => 'Content-Type: application/json', 'content' => $json];
    echo file_get_contents('http://' . getenv('PUBLISH') . '/publish/', false, stream_context_create(['http' => $http]));
} elseif ($what === '/publish/expect') {  // as curl does with large bodies: the body waits for the 100
    $socket = stream_socket_client('tcp://' . getenv('PUBLISH'));
    stream_set_timeout($socket, 5);
    fwrite($socket, "POST /publish/ HTTP/1.1\r\nHost: publish\r\nContent-Type: application/json\r\n"
        . 'Content-Length: ' . strlen($json) . "\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n");
    echo fgets($socket), fgets($socket);
    fwrite($socket, $json);
    echo stream_get_contents($socket);
}
