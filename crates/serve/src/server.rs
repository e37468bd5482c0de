//! The accept loop: connections, their limits, and a shutdown that answers what was accepted.
//!
//! `axum::serve` installs no timeout for request heads, hence a loop of our own over hyper.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use crate::engine::Engine;
use crate::error::ServeError;
use crate::options::Options;
use crate::routes::router;

/// How long a shutdown lets a connection without a request finish what it is writing.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// How long the loop waits after the system refused a connection, for lack of file handles say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A server that listens and has not begun to answer.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    options: Options,
}

/// Serves the engines until `shutdown` is done, then drains: accepted requests are still answered,
/// for at most [`Options::drain_timeout`].
///
/// # Errors
/// Those of [`Server::bind`].
pub async fn serve(
    engines: Vec<Arc<dyn Engine>>,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    Server::bind(engines, options).await?.run(shutdown).await;
    Ok(())
}

/// Serves the engines on a runtime of its own until SIGINT or SIGTERM. `on_ready` gets the address
/// once the server listens.
///
/// # Errors
/// Those of [`Server::bind`], and [`ServeError::Runtime`] without threads or signal handlers.
pub fn run(
    engines: Vec<Arc<dyn Engine>>,
    options: Options,
    on_ready: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    runtime.block_on(async {
        let stop = stop_signal().map_err(ServeError::Runtime)?;
        let server = Server::bind(engines, options).await?;
        on_ready(server.address());
        server.run(stop).await;
        Ok(())
    })
}

impl Server {
    /// Checks the options, starts the compute thread and listens.
    ///
    /// # Errors
    /// No models or two of one name, options that expose the server without a key, an address that
    /// is in use or not this machine's.
    pub async fn bind(engines: Vec<Arc<dyn Engine>>, options: Options) -> Result<Self, ServeError> {
        options.check()?;
        let addr = options.addr;
        let listener = TcpListener::bind(addr).await.map_err(|source| match source.kind() {
            ErrorKind::AddrInUse => ServeError::AddressInUse { addr },
            _ => ServeError::Bind { addr, source },
        })?;
        let address = listener
            .local_addr()
            .map_err(|source| ServeError::Bind { addr, source })?;
        let router = router(engines, &options)?;
        Ok(Self {
            listener,
            address,
            router,
            options,
        })
    }

    /// The address in use, with the port that the system chose where the options say 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `shutdown` is done, then drains.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let (stop, stopping) = watch::channel(false);
        let slots = Arc::new(Semaphore::new(self.options.max_connections));
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = accept(&self.listener, &slots) => accepted,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, slot)) => {
                    let router = self.router.clone();
                    let answer = connection(stream, router, self.options.header_timeout, stopping.clone());
                    connections.spawn(async move {
                        answer.await;
                        drop(slot);
                    });
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
        drop(self.listener);
        // Every connection may have ended already, so that nobody listens.
        let _ = stop.send(true);
        let all = async { while connections.join_next().await.is_some() {} };
        // Dropping the set ends the connections that are late.
        let _ = timeout(self.options.drain_timeout, all).await;
    }
}

/// The next connection, once there is a slot for it.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // Answers are small and whole: waiting for more to send only delays them.
    stream.set_nodelay(true)?;
    Ok((stream, slot))
}

/// Answers the requests of one connection until it ends or the server stops.
async fn connection(stream: TcpStream, router: Router, header_timeout: Duration, mut stopping: watch::Receiver<bool>) {
    let open = Arc::new(AtomicUsize::new(0));
    let service = service_fn(|request: Request<Incoming>| {
        let counted = Counted::new(&open);
        let response = router.clone().oneshot(request);
        async move {
            let response = response.await;
            drop(counted);
            response
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // A client that breaks the protocol or goes away ends its own connection only.
        _ = &mut connection => return,
        _ = stopping.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    // A connection that a browser opened in advance has no request to wait for.
    while timeout(LAST_BYTES, &mut connection).await.is_err() && open.load(Ordering::Relaxed) > 0 {}
}

/// Counts a request as open for as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(open.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A future that ends at the first SIGINT or SIGTERM.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// A future that ends at the first Ctrl-C.
#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without the handler the system's own Ctrl-C still ends the program.
            std::future::pending::<()>().await;
        }
    })
}
