//! The users of the service: a few keep-alive connections over loopback, at a steady pace.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::{self, MissedTickBehavior},
};

use super::random::Random;

/// Connections.
const USERS: u64 = 4;
/// Between two rounds of a user; with [`PROFILE`] it sets the pace of the leak: 1.5 MiB a second.
const PACE: Duration = Duration::from_millis(20);
/// Bytes of a user's settings.
const PROFILE: usize = 8_000;
/// Products that are asked for; most of them are not in the cache.
const PRODUCTS: u64 = 6_000;

/// Lets the users begin.
pub fn start(address: SocketAddr) {
    for user in 0..USERS {
        tokio::spawn(async move {
            loop {
                // A connection that breaks is opened again.
                let _ = shop(address, user).await;
                time::sleep(Duration::from_millis(200)).await;
            }
        });
    }
}

async fn shop(address: SocketAddr, user: u64) -> io::Result<()> {
    let mut connection = Connection {
        stream: BufReader::new(TcpStream::connect(address).await?),
        body: Vec::new(),
    };
    let mut random = Random::new(user ^ u64::from(std::process::id()));
    let mut pace = time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for round in 0_u64.. {
        pace.tick().await;
        let name = format!("user-{user}-{}", random.text(8));
        let profile = random.text(PROFILE);
        let login = serde_json::json!({ "user": name, "device": "phone", "profile": profile });
        connection.post("/login", &login).await?;
        for _ in 0..3 {
            let path = format!("/products/{}", random.below(PRODUCTS));
            connection.get(&path).await?;
        }
        connection
            .get(&format!("/search?q={}", random.text(2)))
            .await?;
        let lines: Vec<String> = (0..4).map(|_| random.text(100)).collect();
        connection
            .post("/orders", &serde_json::json!({ "lines": lines }))
            .await?;
        if round.is_multiple_of(8) {
            connection.get("/report").await?;
        }
        connection
            .post("/logout", &serde_json::json!({ "user": name }))
            .await?;
    }
    Ok(())
}

struct Connection {
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
}

impl Connection {
    async fn get(&mut self, path: &str) -> io::Result<()> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: shop\r\n\r\n");
        self.exchange(request.as_bytes()).await
    }

    async fn post(&mut self, path: &str, body: &serde_json::Value) -> io::Result<()> {
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.exchange(request.as_bytes()).await
    }

    async fn exchange(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(request).await?;
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).await?;
        Ok(())
    }
}
