"""What eventstore.proto says, for tests that go through all messages: one that is new is covered by being there."""

import os
import re

SRC = os.environ.get("SRCDIR") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")

# What a request must have, by the name of the field.
VALUES = {"event_stream_id": "s", "subscription_group_name": "g", "transaction_id": 7,
          "events": [{"event_type": "t", "data": {}}], "filter": {"context": "StreamId", "type": "Prefix", "data": ["s"]}}


class Proto:
    """Messages and enums of eventstore.proto: {message: {field: (type, number)}}, {(message or "", enum): {name: number}}."""

    def __init__(self, text):
        self.messages, self.enums = {}, {}
        text = re.sub(r"//[^\n]*", "", text)
        for name, body in re.findall(r"^message (\w+) \{(.*?)^\}", text, re.S | re.M):
            for enum, values in re.findall(r"enum (\w+) \{(.*?)\}", body, re.S):
                self.enums[name, enum] = self.values(values)
            body = re.sub(r"enum \w+ \{.*?\}", "", body, flags=re.S)
            self.messages[name] = {field: (kind, int(number)) for kind, field, number in
                                   re.findall(r"(?:optional|repeated) (\w+) (\w+) = (\d+);", body)}
        for enum, values in re.findall(r"^enum (\w+) \{(.*?)\}", text, re.S | re.M):
            self.enums["", enum] = self.values(values)

    @staticmethod
    def values(text):
        return {name: int(number) for name, number in re.findall(r"(\w+) = (-?\d+);", text)}

    def request(self, message):
        """The protobuf message that MESSAGE is sent as: two directions share one."""
        return message if message in self.messages else message.replace("Backward", "")

    def replies(self, message):
        """The names of the replies that a server may give to it."""
        names = [self.request(message) + end for end in ("Completed", "Response")]
        return [name for name in names if name in self.messages]

    def results(self, reply):
        """(number of the field `result`, {name: value})"""
        kind, number = self.messages[reply]["result"]
        return number, self.enums.get((reply, kind)) or self.enums["", kind]


with open(os.path.join(SRC, "proto", "eventstore.proto"), encoding="utf-8") as file:
    PROTO = Proto(file.read())


def body_of(message):
    return {field: VALUES[field] for field in PROTO.messages[PROTO.request(message)] if field in VALUES}
