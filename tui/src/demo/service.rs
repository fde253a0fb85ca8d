//! The HTTP server and its handlers.

use std::{
    io::{self, Read},
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::{
    cache::Lru,
    catalog::Catalog,
    history::{History, Order},
    load,
    pool::Pool,
    random::Random,
    sessions::{self, Login, Sessions},
};

/// Pages in the cache; with their size, 4 MiB.
const CACHED_PAGES: usize = 1_000;
/// Orders remembered.
const ORDERS: usize = 4_000;

struct Shop {
    sessions: Sessions,
    pages: Mutex<Lru>,
    catalog: Catalog,
    history: Mutex<History>,
    pool: Pool,
}

impl Shop {
    fn new() -> Self {
        Self {
            sessions: Sessions::default(),
            pages: Mutex::new(Lru::new(CACHED_PAGES)),
            catalog: Catalog::default(),
            history: Mutex::new(History::new(ORDERS)),
            pool: Pool::default(),
        }
    }
}

/// Serves until stdin is closed: whoever started this process is then gone.
///
/// # Errors
///
/// There is no runtime or no port on the loopback interface.
pub fn run() -> io::Result<()> {
    // The name under which `riptide list` shows it. Where there is no /proc it keeps the old one.
    let _ = std::fs::write("/proc/self/comm", "riptide-demo");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(3)
        .thread_name("shop-worker")
        .enable_all()
        .build()?;
    thread::Builder::new()
        .name("parent-watch".to_owned())
        .spawn(end_with_parent)?;
    runtime.block_on(serve())
}

fn end_with_parent() {
    let mut stdin = io::stdin().lock();
    let mut scratch = [0; 64];
    loop {
        match stdin.read(&mut scratch) {
            Ok(0) | Err(_) => std::process::exit(0),
            Ok(_) => {}
        }
    }
}

async fn serve() -> io::Result<()> {
    let shop = Arc::new(Shop::new());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let warming = Arc::clone(&shop);
    thread::Builder::new()
        .name("catalog-warm-up".to_owned())
        .spawn(move || warming.catalog.warm_up())?;
    load::start(address);
    axum::serve(listener, router(shop)).await
}

fn router(shop: Arc<Shop>) -> Router {
    Router::new()
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/products/{id}", get(product))
        .route("/search", get(search))
        .route("/orders", post(order))
        .route("/report", get(report))
        .with_state(shop)
}

#[derive(Serialize)]
struct LoggedIn {
    key: String,
    users: usize,
}

async fn login(State(shop): State<Arc<Shop>>, Json(login): Json<Login>) -> Json<LoggedIn> {
    let key = sessions::remember_session(&shop.sessions, &login);
    Json(LoggedIn {
        key,
        users: shop.sessions.len(),
    })
}

#[derive(Deserialize)]
struct Logout {
    user: String,
}

async fn logout(State(shop): State<Arc<Shop>>, Json(logout): Json<Logout>) -> Json<bool> {
    Json(sessions::forget_session(&shop.sessions, &logout.user))
}

#[derive(Serialize)]
struct Product {
    id: u64,
    bytes: usize,
    cached: bool,
}

async fn product(State(shop): State<Arc<Shop>>, Path(id): Path<u64>) -> Json<Product> {
    let held = lock(&shop.pages).get(id);
    let bytes = match held {
        Some(bytes) => bytes,
        None => {
            let page = render_page(id);
            lock(&shop.pages).insert(id, page.as_bytes());
            page.len()
        }
    };
    Json(Product {
        id,
        bytes,
        cached: held.is_some(),
    })
}

#[inline(never)]
fn render_page(id: u64) -> String {
    let mut page = String::with_capacity(4_096);
    let mut random = Random::new(id);
    while page.len() < 4_000 {
        page.push_str("<p>");
        page.push_str(&random.text(60));
        page.push_str("</p>");
    }
    page
}

#[derive(Deserialize)]
struct Search {
    q: String,
}

async fn search(State(shop): State<Arc<Shop>>, Query(search): Query<Search>) -> Json<Vec<String>> {
    Json(shop.catalog.search(&search.q))
}

#[derive(Deserialize)]
struct NewOrder {
    lines: Vec<String>,
}

async fn order(State(shop): State<Arc<Shop>>, Json(order): Json<NewOrder>) -> Json<u64> {
    let lines: Vec<&str> = order.lines.iter().map(String::as_str).collect();
    Json(lock(&shop.history).push_order(&lines))
}

#[derive(Serialize)]
struct Report {
    newest: Vec<Order>,
    bytes: usize,
}

async fn report(State(shop): State<Arc<Shop>>) -> Json<Report> {
    let newest = lock(&shop.history).newest(20);
    let bytes = shop.pool.with_buffer(|buffer| {
        // A writer into a vector does not fail.
        let _ = serde_json::to_writer(&mut *buffer, &newest);
        buffer.len()
    });
    Json(Report { newest, bytes })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
