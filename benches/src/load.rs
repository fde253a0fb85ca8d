//! The client of the measured server: prepared requests over kept connections, in this process.

use std::{
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
};

use crate::Error;

/// Connections that ask at the same time.
const CONNECTIONS: u64 = 4;
/// Requests of each connection in a round.
const REQUESTS: u64 = 50;

/// Sends `rounds` × 50 requests on each of four connections and reads all answers.
///
/// # Errors
/// When the server goes away or answers with something else than 200.
pub fn drive(port: u16, rounds: u64) -> Result<(), Error> {
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|number| thread::spawn(move || client(port, number, rounds * REQUESTS)))
        .collect();
    for client in clients {
        match client.join() {
            Ok(outcome) => outcome.map_err(|error| format!("client: {error}"))?,
            Err(_) => return Err("a client ended by a panic".into()),
        }
    }
    Ok(())
}

fn client(port: u16, number: u64, requests: u64) -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut connection = TcpStream::connect(("127.0.0.1", port)).map_err(failed)?;
    connection.set_nodelay(true).map_err(failed)?;
    let prepared: Vec<String> = (0..16).map(|n| request(number * 16 + n)).collect();
    let mut buffer = vec![0; 64 << 10];
    for request in prepared
        .iter()
        .cycle()
        .take(usize::try_from(requests).unwrap_or(0))
    {
        connection.write_all(request.as_bytes()).map_err(failed)?;
        let mut filled = 0;
        while !is_whole(buffer.get(..filled).unwrap_or_default())? {
            let room = buffer.get_mut(filled..).unwrap_or_default();
            let read = connection.read(room).map_err(failed)?;
            if read == 0 {
                return Err("the server closed the connection".to_owned());
            }
            filled += read;
        }
    }
    Ok(())
}

/// Whether this is an answer to its end.
fn is_whole(answer: &[u8]) -> Result<bool, String> {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(false);
    };
    let text = String::from_utf8_lossy(answer.get(..head).unwrap_or_default());
    if !text.starts_with("HTTP/1.1 200 ") {
        return Err(format!("not an answer to be expected: {text}"));
    }
    let length: usize = text
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.parse().ok())
        .ok_or("an answer without length")?;
    Ok(answer.len() >= head + 4 + length)
}

/// An order of 10 to 25 items.
fn request(number: u64) -> String {
    let mut items = String::new();
    for item in 0..10 + number % 16 {
        let separator = if item == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(
            items,
            r#"{separator}{{"name":"article {} of the catalogue","count":{},"price":{},"tags":["t{item}","in stock"]}}"#,
            number * 31 + item,
            item % 5 + 1,
            number * 7 + item * 13 + 99,
        );
    }
    let body = format!(r#"{{"customer":"customer {number}","items":[{items}]}}"#);
    format!(
        "POST /orders HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(is_whole(answer), Ok(true));
        assert_eq!(is_whole(&answer[..answer.len() - 1]), Ok(false));
        assert_eq!(is_whole(&answer[..20]), Ok(false));
        assert!(is_whole(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").is_err());
    }
}
