<?php
/**
 * The backend: it serves the page, and takes goals from its form. It keeps nothing; the hub's history does.
 *
 *     GRIP_URL=http://127.0.0.1:5561 php -S 127.0.0.1:8000 score.php
 */

declare(strict_types=1);

require __DIR__ . '/goal.php';

if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
    header('Content-Type: text/html; charset=utf-8');
    readfile(__DIR__ . '/page.html');
    return;
}

// An application would look at who is asking here.
[$match, $side] = explode(' ', $_POST['team'] ?? '') + [1 => ''];
$scorer = trim($_POST['scorer'] ?? '');
$minute = (int) ($_POST['minute'] ?? 0);
if (!preg_match('/^[123] (home|away)$/', "$match $side") || !preg_match('/^.{1,40}$/u', $scorer)) {
    http_response_code(400);
    exit("That is no goal.\n");
}
publish($match, $side, $scorer, min(max($minute, 1), 130));
http_response_code(204);
