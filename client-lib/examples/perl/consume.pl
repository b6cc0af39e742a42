#!/usr/bin/env perl
# Handles the events of a persistent group, and acknowledges each one when it has been handled:
#
#     consume.pl STREAM GROUP
#
# After a restart of this program, the daemon or the store, what was not acknowledged comes again: handle() may see an
# event twice.
use v5.30;
use warnings;
use IO::Socket::UNIX;
use JSON::PP;

my ($stream, $group) = @ARGV;
die "usage: consume.pl STREAM GROUP\n" unless defined $group;
my $path = $ENV{ESBRIDGE_SOCKET} // '/run/esbridge/esbridge.sock';
my $json = JSON::PP->new->utf8->allow_nonref->canonical;
$SIG{PIPE} = 'IGNORE';    # the daemon may go while something is written to it: the next read tells
STDOUT->autoflush(1);

# The work. Where it dies, the group delivers the event again.
sub handle {
	my ($event) = @_;
	say "$event->{event_number} $event->{event_type} ", $json->encode($event->{data});
}

# Handles events until the connection ends; dies with the reason.
sub consume {
	my $socket = IO::Socket::UNIX->new(Peer => $path) or die "$path: $!\n";
	$socket->autoflush(1);
	my $tell = sub { print {$socket} $json->encode({@_}), "\n" };

	$tell->(op => 'subscribe', id => 'subscribe', sub => 'work', stream => $stream, group => $group, in_flight => 20);
	while (defined(my $line = readline $socket)) {
		last if $line !~ /\n\z/;
		my $said = $json->decode($line);
		my $push = $said->{push} // '';
		if ($push eq 'event') {
			my @which = (sub => 'work', events => [ $said->{ack_id} ]);
			if (eval { handle($said->{event}); 1 }) { $tell->(op => 'ack', @which) }
			else { $tell->(op => 'nack', @which, action => 'retry', reason => "$@") }
		}
		die "subscription dropped: $said->{reason}\n" if $push eq 'dropped';
		die "$said->{error}{message}\n" if $said->{error} && ($said->{id} // '') eq 'subscribe';
		# An ack that was refused (unknown_event) needs no answer: that event comes again.
	}
	die "the daemon went away\n";
}

while (1) {
	eval { consume() };
	warn "consume.pl: $@";
	select undef, undef, undef, 0.5;
}
