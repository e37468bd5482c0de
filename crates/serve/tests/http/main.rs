//! The whole server over real loopback sockets.

mod access;
mod batching;
mod connections;
mod routes;
mod support;
