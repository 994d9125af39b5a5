//! As much of a WebSocket client as an echo needs: RFC 6455, short text frames.

use std::io;

use super::http::Client;

/// The example of the RFC: any key would do, and this one's answer is known.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// An open WebSocket.
pub(crate) struct WebSocket {
    client: Client,
}

/// What came over a WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Text(String),
    /// With its code, 0 if there is none.
    Close(u16),
}

impl WebSocket {
    /// Connects and upgrades.
    #[track_caller]
    pub(crate) fn open(port: u16, target: &str) -> WebSocket {
        let mut client = Client::connect(port);
        client.send(format!(
            "GET {target} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ));
        let answer = client.head();
        assert_eq!(answer.status, 101, "{answer:?}");
        assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT), "{answer:?}");
        assert!(
            answer.header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")),
            "{answer:?}"
        );
        WebSocket { client }
    }

    /// Sends a text of at most 125 bytes.
    pub(crate) fn send(&mut self, text: &str) -> io::Result<()> {
        assert!(text.len() <= 125, "longer frames have another form");
        let mut frame = vec![0x81, 0x80 | text.len() as u8];
        frame.extend(MASK);
        frame.extend(text.bytes().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.client.try_send(&frame)
    }

    /// The next text or close frame.
    pub(crate) fn receive(&mut self) -> io::Result<Frame> {
        loop {
            let head = self.client.read_exactly(2)?;
            assert!(head[1] <= 125, "a frame longer than this client can read, or masked");
            let body = self.client.read_exactly(usize::from(head[1]))?;
            match head[0] & 0x0f {
                0x1 => return Ok(Frame::Text(String::from_utf8_lossy(&body).into_owned())),
                0x8 => {
                    return Ok(Frame::Close(
                        body.get(..2).map_or(0, |code| u16::from_be_bytes([code[0], code[1]])),
                    ));
                }
                _ => (), // ping and pong
            }
        }
    }

    /// Sends a text and reads the next one.
    pub(crate) fn ask(&mut self, text: &str) -> io::Result<String> {
        self.send(text)?;
        match self.receive()? {
            Frame::Text(answer) => Ok(answer),
            Frame::Close(code) => Err(io::Error::other(format!("closed with {code}"))),
        }
    }
}
