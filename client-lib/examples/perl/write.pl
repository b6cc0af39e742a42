#!/usr/bin/env perl
# Writes each line of standard input, a JSON value, as an event:
#
#     write.pl STREAM TYPE <lines
#
# Each event has its id before it is sent. Where nobody knows whether a write has come through, since the daemon or the
# store went away meanwhile, it is sent again with the same id: the store recognises it and stores it once.
use v5.30;
use warnings;
use IO::Socket::UNIX;
use JSON::PP;

my ($stream, $type) = @ARGV;
die "usage: write.pl STREAM TYPE\n" unless defined $type;
my $path = $ENV{ESBRIDGE_SOCKET} // '/run/esbridge/esbridge.sock';
my $json = JSON::PP->new->utf8->allow_nonref;
my $socket;
$SIG{PIPE} = 'IGNORE';    # the daemon may go while something is written to it: the next read tells

sub new_id {
	open my $random, '<', '/proc/sys/kernel/random/uuid' or die "no random ids here: $!\n";
	chomp(my $id = readline $random);
	return $id;
}

# The answer to a request, or nothing where none came.
sub ask {
	my ($request) = @_;
	$socket //= IO::Socket::UNIX->new(Peer => $path) or return;
	$socket->autoflush(1);
	print {$socket} $json->encode($request), "\n";
	my $line = readline $socket;
	if (!defined $line || $line !~ /\n\z/) {
		undef $socket;
		return;
	}
	return $json->decode($line);
}

sub store {
	my ($data) = @_;
	my $event = { event_id => new_id(), event_type => $type, data => $data };
	my $body = { event_stream_id => $stream, events => [$event] };
	while (1) {
		my $answer = ask({ op => 'execute', message => 'WriteEvents', body => $body });
		return if $answer && $answer->{ok};
		die "write.pl: $answer->{error}{message}\n" if $answer && !$answer->{error}{retry};
		select undef, undef, undef, 0.5;
	}
}

store($json->decode($_)) while <STDIN>;
