#!/usr/bin/env ruby
# frozen_string_literal: true

# Handles the events of a persistent group, and acknowledges each one when it has been handled:
#
#     consume.rb STREAM GROUP
#
# After a restart of this program, the daemon or the store, what was not acknowledged comes again: handle may see an
# event twice.
require 'json'
require 'socket'

PATH = ENV.fetch('ESBRIDGE_SOCKET', '/run/esbridge/esbridge.sock')
$stdout.sync = true

# The work. What it raises makes the group deliver the event again.
def handle(event)
  puts "#{event[:event_number]} #{event[:event_type]} #{JSON.generate(event[:data])}"
end

def answer(socket, ack_id, event)
  begin
    handle(event)
    request = { op: 'ack' }
  rescue StandardError => e
    request = { op: 'nack', action: 'retry', reason: e.message }
  end
  socket.puts(JSON.generate(sub: 'work', events: [ack_id], **request))
end

# Handles events until the connection ends, with an IOError or a SystemCallError.
def consume(stream, group)
  UNIXSocket.open(PATH) do |socket|
    socket.puts(JSON.generate(op: 'subscribe', id: 'subscribe', sub: 'work', stream: stream, group: group,
                              in_flight: 20))
    while (line = socket.gets)&.end_with?("\n")
      case JSON.parse(line, symbolize_names: true)
      in { push: 'event', ack_id:, event: } then answer(socket, ack_id, event)
      in { push: 'dropped', reason: } then raise IOError, "subscription dropped: #{reason}"
      in { id: 'subscribe', error: { message: } } then raise IOError, message
      else next # An ack that was refused (unknown_event) needs no answer: that event comes again.
      end
    end
  end
  raise EOFError, 'the daemon went away'
end

abort 'usage: consume.rb STREAM GROUP' if ARGV.size != 2
loop do
  consume(*ARGV)
rescue IOError, SystemCallError => e
  warn "consume.rb: #{e.message}; again in half a second"
  sleep 0.5
end
