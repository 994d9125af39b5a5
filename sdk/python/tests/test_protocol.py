"""Bytes as they come from the daemon, in every possible number of pieces."""

import unittest

from stead._http import Answer

STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    b"16\r\nevent: part\ndata: [1,\n\r\n1c;x=y\r\ndata: 2]\n\n: comment\ndata: 3\n\r\n"
    b"1\r\n\n\r\n0\r\n\r\n"
)


class Protocol(unittest.TestCase):
    def test_an_answer_is_put_together_from_any_pieces(self):
        text = b'HTTP/1.1 404 Not Found\r\nETag: "7"\r\nContent-Length: 13\r\n\r\n{"error":"a"}'
        for size in range(1, len(text) + 1):
            answer = Answer()
            for start in range(0, len(text), size):
                self.assertFalse(answer.done)
                answer.feed(text[start : start + size])
            self.assertTrue(answer.done)
            self.assertEqual(
                (answer.status, answer.headers["etag"], answer.json()),
                (404, '"7"', {"error": "a"}),
            )

    def test_events_are_put_together_from_any_pieces(self):
        for size in range(1, len(STREAM) + 1):
            events = []
            answer = Answer(lambda name, data, events=events: events.append((name, data)))
            for start in range(0, len(STREAM), size):
                answer.feed(STREAM[start : start + size])
            self.assertEqual(events, [("part", [1, 2]), ("message", 3)])
            self.assertTrue(answer.done)

    def test_an_answer_that_breaks_off_is_an_error_of_the_connection(self):
        for text in (
            b"",
            b"HTTP/1.1 200",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
            STREAM[:-5],
        ):
            answer = Answer()
            if text:
                answer.feed(text)
            with self.assertRaises(ConnectionError):
                answer.feed(b"")


if __name__ == "__main__":
    unittest.main()
