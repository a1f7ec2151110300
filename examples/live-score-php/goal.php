<?php
/**
 * Tells the hub of a goal, with nothing but PHP. The backend calls `publish`; by hand it is
 *
 *     php goal.php 2 away "Ada Okafor" 23
 */

declare(strict_types=1);

const KEY = 'a secret for this example, and for no other';  // Holdfast has it as mercure.publisher_key

/** Publish a goal of the home or the away side, and return the id that the hub gave it. */
function publish(string $match, string $side, string $scorer, int $minute): string
{
    $goal = ['match' => $match, 'side' => $side, 'scorer' => $scorer, 'minute' => $minute, 'at' => time()];
    $body = http_build_query(['topic' => "https://score.example/matches/$match", 'data' => json_encode($goal)]);
    $header = "Content-Type: application/x-www-form-urlencoded\r\nAuthorization: Bearer " . token();
    $http = ['method' => 'POST', 'header' => $header, 'content' => $body];
    $hub = (getenv('GRIP_URL') ?: 'http://127.0.0.1:5561') . '/.well-known/mercure';
    $id = @file_get_contents($hub, false, stream_context_create(['http' => $http]));
    if ($id === false) {
        throw new RuntimeException('The hub has not taken it: ' . ($http_response_header[0] ?? 'no answer'));
    }
    return $id;
}

/** Make a token that may publish on every match, for a minute: a header, claims, and a signature over both. */
function token(): string
{
    $claims = ['mercure' => ['publish' => ['https://score.example/matches/{match}']], 'exp' => time() + 60];
    $signed = base64url(json_encode(['alg' => 'HS256', 'typ' => 'JWT'])) . '.' . base64url(json_encode($claims));
    return $signed . '.' . base64url(hash_hmac('sha256', $signed, KEY, true));
}

function base64url(string $bytes): string
{
    return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
}

if (PHP_SAPI === 'cli') {
    if ($argc !== 5) {
        exit("Usage: php goal.php MATCH home|away SCORER MINUTE\n");
    }
    echo publish($argv[1], $argv[2], $argv[3], (int) $argv[4]), "\n";
}
