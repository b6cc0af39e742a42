#!/usr/bin/env php
<?php
// Writes each line of standard input, a JSON value, as an event:
//
//     write.php STREAM TYPE <lines
//
// Each event has its id before it is sent. Where nobody knows whether a write has come through, since the daemon or the
// store went away meanwhile, it is sent again with the same id: the store recognises it and stores it once.
declare(strict_types=1);

final class Bridge
{
    /** @var resource|null */
    private $socket = null;

    /** The answer to a request, or null where none came. */
    public function ask(string $request): ?object
    {
        $path = getenv('ESBRIDGE_SOCKET') ?: '/run/esbridge/esbridge.sock';
        $this->socket ??= @stream_socket_client("unix://$path") ?: null;
        if ($this->socket === null) {
            return null;
        }
        @fwrite($this->socket, $request . "\n");
        $line = fgets($this->socket);
        if ($line === false || !str_ends_with($line, "\n")) {
            $this->socket = null;
            return null;
        }
        return json_decode($line, flags: JSON_THROW_ON_ERROR);
    }
}

function uuid(): string
{
    $bytes = random_bytes(16);
    $bytes[6] = chr(ord($bytes[6]) & 0x0f | 0x40);
    $bytes[8] = chr(ord($bytes[8]) & 0x3f | 0x80);
    return vsprintf('%s%s-%s-%s-%s-%s%s%s', str_split(bin2hex($bytes), 4));
}

function write(Bridge $bridge, string $stream, string $type, mixed $data): void
{
    $events = [['event_id' => uuid(), 'event_type' => $type, 'data' => $data]];
    $body = ['event_stream_id' => $stream, 'events' => $events];
    $request = json_encode(['op' => 'execute', 'message' => 'WriteEvents', 'body' => $body], JSON_THROW_ON_ERROR);
    while (!isset(($answer = $bridge->ask($request))->ok)) {
        if ($answer !== null && !$answer->error->retry) {
            fwrite(STDERR, "write.php: {$answer->error->message}\n");
            exit(1);
        }
        usleep(500_000);
    }
}

$bridge = new Bridge();
while (($line = fgets(STDIN)) !== false) {
    write($bridge, $argv[1], $argv[2], json_decode($line, flags: JSON_THROW_ON_ERROR));
}
