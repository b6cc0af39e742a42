#!/usr/bin/env php
<?php
// Handles the events of a persistent group, and acknowledges each one when it has been handled:
//
//     consume.php STREAM GROUP
//
// After a restart of this program, the daemon or the store, what was not acknowledged comes again: handle() may see an
// event twice.
declare(strict_types=1);

/** The work. What it throws makes the group deliver the event again. */
function handle(object $event): void
{
    echo "$event->event_number $event->event_type " . json_encode($event->data ?? null) . "\n";
}

/** Handles events until the connection ends; returns why it did. */
function consume(string $stream, string $group): string
{
    $path = getenv('ESBRIDGE_SOCKET') ?: '/run/esbridge/esbridge.sock';
    $socket = @stream_socket_client("unix://$path", $code, $reason);
    if ($socket === false) {
        return $reason;
    }
    stream_set_timeout($socket, 365 * 86400); // an event may take its time
    $send = fn (array $request) => @fwrite($socket, json_encode($request) . "\n");

    $send(['op' => 'subscribe', 'id' => 'subscribe', 'sub' => 'work', 'stream' => $stream, 'group' => $group,
        'in_flight' => 20]);
    while (($line = fgets($socket)) !== false && str_ends_with($line, "\n")) {
        $said = json_decode($line);
        if (($said->push ?? '') === 'event') {
            try {
                handle($said->event);
                $send(['op' => 'ack', 'sub' => 'work', 'events' => [$said->ack_id]]);
            } catch (Exception $fault) {
                $send(['op' => 'nack', 'sub' => 'work', 'events' => [$said->ack_id], 'action' => 'retry',
                    'reason' => $fault->getMessage()]);
            }
        } elseif (($said->push ?? '') === 'dropped') {
            return "subscription dropped: $said->reason";
        } elseif (isset($said->error) && ($said->id ?? '') === 'subscribe') {
            return $said->error->message;
        } // An ack that was refused (unknown_event) needs no answer: that event comes again.
    }
    return 'the daemon went away';
}

while (true) {
    $why = consume($argv[1], $argv[2]);
    fwrite(STDERR, "consume.php: $why; again in half a second\n");
    usleep(500_000);
}
