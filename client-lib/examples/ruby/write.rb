#!/usr/bin/env ruby
# frozen_string_literal: true

# Writes each line of standard input, a JSON value, as an event:
#
#     write.rb STREAM TYPE <lines
#
# Each event has its id before it is sent. Where nobody knows whether a write has come through, since the daemon or the
# store went away meanwhile, it is sent again with the same id: the store recognises it and stores it once.
require 'json'
require 'securerandom'
require 'socket'

# A connection to esbridged, made when it is needed and again when it was lost.
class Bridge
  PATH = ENV.fetch('ESBRIDGE_SOCKET', '/run/esbridge/esbridge.sock')

  # The answer to a request, or nil where none came.
  def ask(request)
    @socket ||= UNIXSocket.new(PATH)
    @socket.puts(JSON.generate(request))
    line = @socket.gets
    return JSON.parse(line) if line&.end_with?("\n")

    @socket = nil
  rescue SystemCallError
    @socket = nil
  end
end

def write(bridge, stream, type, data)
  event = { event_id: SecureRandom.uuid, event_type: type, data: data }
  request = { op: 'execute', message: 'WriteEvents', body: { event_stream_id: stream, events: [event] } }
  loop do
    answer = bridge.ask(request)
    return if answer&.key?('ok')

    abort "write.rb: #{answer['error']['message']}" if answer && !answer['error']['retry']
    sleep 0.5
  end
end

abort 'usage: write.rb STREAM TYPE' if ARGV.size != 2
bridge = Bridge.new
$stdin.each_line { |line| write(bridge, *ARGV, JSON.parse(line)) }
