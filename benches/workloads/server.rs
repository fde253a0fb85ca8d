//! An HTTP server on axum, hyper and two threads of tokio. The load comes from the harness, another
//! process: what is measured is the server alone.
//!
//! It prints its port, serves until its standard input ends, and then prints the checksum.

use std::{
    io::{self, Read as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::sync::Notify;

#[derive(Clone, Default)]
struct Totals(Arc<AtomicU64>);

/// Serves; how much is the client's decision.
pub(super) fn serve(_rounds: u64) -> u64 {
    let totals = Totals::default();
    match run(&totals) {
        Ok(()) => totals.0.load(Ordering::Relaxed),
        Err(error) => {
            eprintln!("server: {error}");
            0
        }
    }
}

fn run(totals: &Totals) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        io::stdout().flush()?;
        let stop = Arc::new(Notify::new());
        let stopper = Arc::clone(&stop);
        thread::spawn(move || {
            // Whatever ends the input ends the server.
            let _ = io::stdin().read_to_end(&mut Vec::new());
            stopper.notify_one();
        });
        let app = Router::new()
            .route("/orders", post(order))
            .route("/health", get(async || "fine"))
            .with_state(totals.clone());
        axum::serve(listener, app)
            .with_graceful_shutdown(async move { stop.notified().await })
            .await
    })
}

/// Adds an order up and answers with one line for each of its items.
async fn order(State(totals): State<Totals>, Json(order): Json<Value>) -> Json<Value> {
    let items = order.get("items").and_then(Value::as_array);
    let mut sum = 0;
    let lines: Vec<Value> = items
        .into_iter()
        .flatten()
        .map(|item| {
            let number = |key| item.get(key).and_then(Value::as_u64).unwrap_or(0);
            let price = number("count") * number("price");
            sum += price;
            let name = item.get("name").and_then(Value::as_str).unwrap_or("");
            json!({ "text": format!("{} x {name}", number("count")), "price": price })
        })
        .collect();
    // Relaxed: added up, and read when all is over.
    totals.0.fetch_add(sum, Ordering::Relaxed);
    Json(json!({ "customer": order.get("customer"), "lines": lines, "sum": sum }))
}
