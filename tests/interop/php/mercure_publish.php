<?php // Publishes as symfony/mercure does, with nothing but PHP: php mercure_publish.php URL TOKEN.
// The update comes by standard input, as JSON.
[, $url, $token] = $argv;
$update = json_decode(stream_get_contents(STDIN), true);
$pairs = array_map(fn ($topic) => ['topic', $topic], $update['topics']);
$pairs[] = ['data', $update['data']];
if ($update['private']) {
    $pairs[] = ['private', 'on'];
}
foreach (['id', 'type', 'retry'] as $name) {
    if ($update[$name] !== null) {
        $pairs[] = [$name, $update[$name]];
    }
}
$body = implode('&', array_map(fn ($pair) => $pair[0] . '=' . urlencode((string) $pair[1]), $pairs));
$headers = "Authorization: Bearer $token\r\nContent-Type: application/x-www-form-urlencoded\r\n";
$http = ['method' => 'POST', 'header' => $headers, 'content' => $body, 'ignore_errors' => true];
$answer = file_get_contents($url, false, stream_context_create(['http' => $http]));
echo explode(' ', $http_response_header[0])[1], ' ', $answer;
