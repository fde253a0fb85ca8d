//! An HTTP client of a few lines: requests as they are written, answers as they come.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use crate::harness::DEADLINE;

/// An answer, without the line that says when it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In alphabetical order.
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

/// A connection that is kept open.
#[derive(Debug)]
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn connect(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a request: `GET /path`, then header lines.
    pub(crate) fn ask(&mut self, request: &[&str]) -> Answer {
        let mut text = format!("{} HTTP/1.1\r\nhost: localhost\r\n", request[0]);
        for header in &request[1..] {
            text += header;
            text += "\r\n";
        }
        text += "\r\n";
        self.0.get_mut().write_all(text.as_bytes()).unwrap();

        let status_line = self.line();
        let status = status_line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                break;
            }
            if !line.to_ascii_lowercase().starts_with("date:") {
                headers.push(line);
            }
        }
        headers.sort();
        let header = |name: &str| {
            headers.iter().find_map(|line| {
                let (key, value) = line.split_once(": ").unwrap();
                key.eq_ignore_ascii_case(name).then(|| value.to_owned())
            })
        };
        let body = if request[0].starts_with("HEAD") || [204, 304].contains(&status) {
            Vec::new()
        } else if let Some(length) = header("content-length") {
            self.bytes(length.parse().unwrap())
        } else {
            assert_eq!(header("transfer-encoding").as_deref(), Some("chunked"));
            let mut body = Vec::new();
            loop {
                let length = usize::from_str_radix(&self.line(), 16).unwrap();
                body.extend(self.bytes(length));
                assert_eq!(self.line(), "");
                if length == 0 {
                    break body;
                }
            }
        };
        Answer {
            status,
            headers,
            body,
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.strip_suffix("\r\n")
            .unwrap_or_else(|| panic!("the server ended a line early: {line:?}"))
            .to_owned()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }
}
